"""Dose response: one panel per thing measured, the direction's line over those of its random controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offtarget.gate.charts.axes import Axis, axis, exact_axis, in_percent, plainly
from offtarget.gate.charts.dots import Dot
from offtarget.gate.text import one_line
from offtarget.numbers import percent
from offtarget.records.direction import DosePoint, DoseResponse
from offtarget.stats.rates import wilson

Value = Callable[[DosePoint], float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One direction's points, left to right."""

    control: bool
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
    unchanged: float | None
    """x of strength 0; None where there is none or it leaves nothing unchanged."""
    lines: tuple[Line, ...]
    """Controls first, so that the direction is drawn on top."""
    spoken: str


def panels(response: DoseResponse) -> tuple[Panel, ...]:
    """Misaligned rate and coherence, then the narrow task and other skills where they were measured."""
    measured: list[tuple[str, str, Value]] = [
        ("Misaligned", "share of the scored answers, questions weighted equally", lambda p: p.misaligned),
        ("Coherent", "share of all answers", lambda p: p.coherent),
        ("Narrow task", response.narrow_name, lambda p: p.narrow),
        ("Other skills", response.skill_name, lambda p: p.skill),
    ]
    return tuple(
        _panel(response, title, what, value)
        for title, what, value in measured
        if any(value(point) is not None for point in response.points)
    )


def _panel(response: DoseResponse, title: str, what: str, value: Value) -> Panel:
    low, high = min(response.strengths), max(response.strengths)
    x = exact_axis(low, high, plainly, 7) if high > low else exact_axis(low - 1, high + 1, plainly, 3)
    y = axis(0.0, 100.0, in_percent, 5)
    lines = [_line(response.curve(seed), value, x, y, control=True) for seed in response.controls]
    lines.append(_line(response.curve(), value, x, y, control=False))
    said = ", ".join(f"{percent(value(p))} at strength {p.strength:g}" for p in response.curve())
    unchanged = x.at(0.0) if response.mode != "cap" and low <= 0 <= high else None
    return Panel(title, one_line(what, 120), x, y, unchanged, tuple(lines), f"{title}: {said}")


def _line(curve: Sequence[DosePoint], value: Value, x: Axis, y: Axis, *, control: bool) -> Line:
    dots = []
    for point in curve:
        share = value(point)
        if share is None:
            continue
        ends = wilson(share, point.tally.scored) if value(point) is point.misaligned and point.tally.scored else None
        dots.append(
            Dot(
                x=x.at(point.strength),
                y=100 - y.at(100 * share),
                low=None if ends is None else 100 - y.at(100 * ends.low),
                high=None if ends is None else 100 - y.at(100 * ends.high),
                title=f"strength {point.strength:g}: {percent(share)}",
            )
        )
    return Line(control, " ".join(f"{d.x:g},{d.y:g}" for d in dots), tuple(dots))
