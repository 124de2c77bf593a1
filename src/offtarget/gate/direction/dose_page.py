"""The dose response as one self-contained HTML page."""

from __future__ import annotations

from offtarget.gate.charts.dose import panels
from offtarget.gate.direction import dose_story
from offtarget.gate.page import environment, policy, template_file
from offtarget.records.direction import DoseResponse


def render(response: DoseResponse) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style = template_file("report.css") + template_file("dose.css")
    return (
        environment()
        .get_template("dose.html.j2")
        .render(
            response=response,
            story=dose_story,
            panels=panels(response),
            style=Markup(style),  # noqa: S704 - our own files
            policy=policy(style),
        )
    )
