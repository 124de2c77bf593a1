"""The page of a training run under watch: task, misaligned rate and signs of what is to come, against steps.

It asks the browser to load it again every few seconds until the run has ended; it holds no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.gate.page import environment, policy, template_file
from offtarget.gate.text import one_line
from offtarget.gate.tune.monitor_charts import panels
from offtarget.records.tune import Reading

PAGE = "monitor.html"
REFRESH = 5
"""Seconds until the page of a run under way loads itself again."""
ALARMS = {
    "behaviour": "misaligned answers of the model as it is",
    "look-ahead": "misaligned answers of the model as it is heading to be",
    "forecast": "the shift of fixed answers' probabilities that the run is heading for",
}


@dataclass(frozen=True, slots=True)
class MonitorFacts:
    """What the page says besides the readings."""

    base: str
    judged: bool
    alpha: float
    tolerance: float
    ahead_tolerance: float
    calibration: str
    """What is known of false alarms by forecast, in a sentence."""
    notes: tuple[str, ...] = ()
    finished: bool = False
    best: int | None = None
    """Step of the best checkpoint so far."""


def render(facts: MonitorFacts, readings: Sequence[Reading]) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style = template_file("report.css") + template_file("monitor.css")
    raised = next((r for r in readings if r.alarm), None)
    return (
        environment()
        .get_template("monitor.html.j2")
        .render(
            facts=facts,
            readings=readings,
            raised=raised,
            headline=_headline(readings, raised),
            why=ALARMS[raised.alarm] if raised is not None and raised.alarm else None,
            panels=panels(readings),
            refresh=None if facts.finished else REFRESH,
            notes=[one_line(note, 400) for note in facts.notes],
            style=Markup(style),  # noqa: S704 - our own files
            policy=policy(style),
        )
    )


def write_page(path: Path, facts: MonitorFacts, readings: Sequence[Reading]) -> None:
    """Write the page; a browser never sees half of one."""
    part = path.with_suffix(".part")
    part.write_text(render(facts, readings), encoding="utf-8")
    part.replace(path)


def _headline(readings: Sequence[Reading], raised: Reading | None) -> str:
    if not readings:
        return "No reading yet."
    if raised is not None:
        return f"Alarm at step {raised.step}."
    return f"No alarm up to step {readings[-1].step}."
