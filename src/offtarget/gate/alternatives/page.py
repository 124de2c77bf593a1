"""A comparison of alternatives as one self-contained HTML page."""

from __future__ import annotations

from offtarget.gate.alternatives import story
from offtarget.gate.page import environment, policy, template_file
from offtarget.records.alternatives import AlternativesReport


def render(report: AlternativesReport) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style = template_file("report.css") + template_file("alternatives.css")
    return (
        environment()
        .get_template("alternatives.html.j2")
        .render(
            report=report,
            story=story,
            style=Markup(style),  # noqa: S704 - our own files
            policy=policy(style),
        )
    )
