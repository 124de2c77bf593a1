"""Readings against steps: one panel per signal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offtarget.gate.charts.axes import Axis, axis, exact_axis, in_percent, plainly
from offtarget.gate.charts.dots import Dot
from offtarget.gate.text import of_scored
from offtarget.numbers import percent
from offtarget.records import Tally
from offtarget.records.tune import Reading
from offtarget.stats.binomial import clopper_pearson


@dataclass(frozen=True, slots=True)
class Line:
    """One signal's values, left to right."""

    kind: str
    """CSS class: `now` or `ahead`."""
    points: str
    """SVG `points`."""
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One thing measured."""

    title: str
    what: str
    x: Axis
    y: Axis
    alarm: float | None
    """x of the alarm."""
    lines: tuple[Line, ...]
    spoken: str


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
        _line(kind, [Dot(x.at(s), 100 - y.at(v), None, None, f"step {s}: {v:.3g}") for s, v in values])
        for kind, values in found
        if values
    ]
    last = known[-1]
    return Panel(title, what, x, y, _alarm(readings, x), tuple(lines), f"{title}: {last:.3g} at the last reading")


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
            low, high = (100 - y.at(100 * end) for end in (ends.low, ends.high))
            title = f"step {reading.step}: {percent(share)}, {of_scored(tally)}"
            dots.append(Dot(x.at(reading.step), 100 - y.at(100 * share), low, high, title))
            if kind == "now":
                said = title
        if dots:
            lines.append(_line(kind, dots))
    if not lines:
        return None
    what = "share of the scored answers with 95 % interval; hollow: the model as it is heading to be"
    return Panel("Misaligned", what, x, y, _alarm(readings, x), tuple(lines), f"Misaligned: {said}")


def _steps(readings: Sequence[Reading]) -> Axis:
    return exact_axis(0.0, float(max(r.step for r in readings) or 1), plainly, 6)


def _alarm(readings: Sequence[Reading], x: Axis) -> float | None:
    raised = next((r for r in readings if r.alarm), None)
    return None if raised is None else x.at(raised.step)


def _line(kind: str, dots: list[Dot]) -> Line:
    return Line(kind, " ".join(f"{d.x:g},{d.y:g}" for d in dots), tuple(dots))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
