"""The page of a training run under watch: task, misaligned rate and signs of what is to come, against steps.

It asks the browser to load it again every few seconds until the run has ended; it holds no script.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.numbers import percent
from offtarget.pages.charts.axes import Axis, Line, Panel, Upright, axis, dot, exact_axis, in_percent, plainly
from offtarget.pages.page import page
from offtarget.pages.text import of_scored, one_line
from offtarget.records import Tally
from offtarget.records.tune import Reading
from offtarget.stats.binomial import clopper_pearson

PAGE = "monitor.html"
STEPS = "optimiser steps"
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
    raised = next((r for r in readings if r.alarm), None)
    return page(
        "tune/monitor.html.j2",
        "tune/monitor.css",
        facts=facts,
        readings=readings,
        raised=raised,
        headline=_headline(readings, raised),
        why=ALARMS[raised.alarm] if raised is not None and raised.alarm else None,
        panels=panels(readings),
        refresh=None if facts.finished else REFRESH,
        notes=[one_line(note, 400) for note in facts.notes],
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


Value = Callable[[Reading], float | None]


def panels(readings: Sequence[Reading]) -> tuple[Panel, ...]:
    """Task, misaligned answers, shift and projection, those that were measured; none without two readings."""
    if len(readings) < 2:
        return ()
    made = [
        _values(readings, "Task", "task metric; higher is better", [("now", lambda r: r.task)]),
        _rates(readings),
        _values(
            readings,
            "Shift of fixed answers",
            "log odds of misaligned against aligned answers, nats above the base; blue: what the run is heading for",
            [("now", lambda r: r.shift), ("ahead", lambda r: r.forecast)],
        ),
        _values(
            readings,
            "Projection",
            "movement along the persona direction, in differences of means",
            [("now", lambda r: next(iter(r.projection.values()), None))],
        ),
    ]
    return tuple(panel for panel in made if panel is not None)


def _values(readings: Sequence[Reading], title: str, what: str, kinds: list[tuple[str, Value]]) -> Panel | None:
    found = [(kind, [(r.step, v) for r in readings if (v := _finite(value(r))) is not None]) for kind, value in kinds]
    known = [v for _, values in found for _, v in values]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    x, y = _steps(readings), axis(low, high, plainly, 5)
    lines = [
        Line(kind, tuple(dot(x, y, s, v, f"step {s}: {v:.3g}") for s, v in values)) for kind, values in found if values
    ]
    last = known[-1]
    spoken = f"{title}: {last:.3g} at the last reading"
    return Panel(title, what, STEPS, x, y, tuple(lines), spoken, _alarm(readings, x))


def _rates(readings: Sequence[Reading]) -> Panel | None:
    x, y = _steps(readings), axis(0.0, 100.0, in_percent, 5)
    kinds: list[tuple[str, Callable[[Reading], Tally | None]]] = [
        ("now", lambda r: r.answers),
        ("ahead", lambda r: r.ahead),
    ]
    lines, said = [], "no answers yet"
    for kind, tally_of in kinds:
        dots = []
        for reading in readings:
            tally = tally_of(reading)
            if tally is None or not tally.scored:
                continue
            share = tally.misaligned / tally.scored
            ends = clopper_pearson(tally.misaligned, tally.scored)
            title = f"step {reading.step}: {percent(share)}, {of_scored(tally)}"
            dots.append(dot(x, y, reading.step, 100 * share, title, (100 * ends.low, 100 * ends.high)))
            if kind == "now":
                said = title
        if dots:
            lines.append(Line(kind, tuple(dots)))
    if not lines:
        return None
    what = "share of the scored answers with 95 % interval; hollow: the model as it is heading to be"
    return Panel("Misaligned", what, STEPS, x, y, tuple(lines), f"Misaligned: {said}", _alarm(readings, x))


def _steps(readings: Sequence[Reading]) -> Axis:
    return exact_axis(0.0, float(max(r.step for r in readings) or 1), plainly, 6)


def _alarm(readings: Sequence[Reading], x: Axis) -> Upright | None:
    raised = next((r for r in readings if r.alarm), None)
    return None if raised is None else Upright(x.at(raised.step), "alarm")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
