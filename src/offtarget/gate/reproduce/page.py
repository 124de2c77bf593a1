"""The repeated experiment as one self-contained HTML page."""

from __future__ import annotations

from offtarget.gate.page import environment, policy, template_file
from offtarget.gate.reproduce import charts, story, table
from offtarget.records.reproduce import ReproduceReport


def render(report: ReproduceReport) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style = template_file("report.css") + template_file("reproduce.css")
    return (
        environment()
        .get_template("reproduce.html.j2")
        .render(
            report=report,
            story=story,
            table=table,
            conditions=charts.conditions(report),
            dynamics=charts.dynamics(report),
            unique=charts.unique(report),
            style=Markup(style),  # noqa: S704 - our own files
            policy=policy(style),
        )
    )
