"""The repair table as one self-contained HTML page."""

from __future__ import annotations

from offtarget.gate.direction import repair_story
from offtarget.gate.page import environment, policy, template_file
from offtarget.records.repair import RepairReport


def render(report: RepairReport) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style = template_file("report.css") + template_file("repair.css")
    return (
        environment()
        .get_template("repair.html.j2")
        .render(
            report=report,
            story=repair_story,
            style=Markup(style),  # noqa: S704 - our own files
            policy=policy(style),
        )
    )
