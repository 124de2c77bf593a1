"""Axes with round limits and ticks, and line charts on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from offtarget.numbers import chosen


@dataclass(frozen=True, slots=True)
class Tick:
    """One labelled position on an axis."""

    at: float
    """0-100, per cent of the axis from its start."""
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Position of a value in per cent of the axis, clipped to 0-100."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


def plainly(value: float) -> str:
    """A tick's label without a unit."""
    return f"{value:,.6g}"


def signed(value: float) -> str:
    """The label of a tick on an axis of movements either way."""
    return f"{value:+g}" if value else "0"


def in_percent(value: float) -> str:
    """The label of a tick on an axis from 0 to 100."""
    return chosen(value / 100)


def axis(low: float, high: float, label: Callable[[float], str] = plainly, most: int = 6) -> Axis:
    """An axis that covers low..high with at most `most` round ticks; its ends are ticks."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        raise ValueError("an axis needs finite low < high")
    step = next(s for s in _steps((high - low) / (most - 1)) if _count(low, high, s) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    start, end = first * step, last * step
    values = [i * step for i in range(first, last + 1)]
    ticks = tuple(Tick(round(100 * (v - start) / (end - start), 2), label(round(v, 10))) for v in values)
    return Axis(start, end, ticks)


def exact_axis(low: float, high: float, label: Callable[[float], str] = plainly, most: int = 6) -> Axis:
    """An axis from low to high itself, with the round ticks that fall inside."""
    outer = axis(low, high, label, most)
    step = (outer.high - outer.low) / (len(outer.ticks) - 1)
    values = [outer.low + i * step for i in range(len(outer.ticks))]
    inside = [v for v in values if low - 1e-9 <= v <= high + 1e-9]
    ticks = tuple(Tick(round(100 * (v - low) / (high - low), 2), label(round(v, 10))) for v in inside)
    return Axis(low, high, ticks)


def _count(low: float, high: float, step: float) -> int:
    return math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9) + 1


def _steps(least: float) -> list[float]:
    power = math.floor(math.log10(least))
    return [m * 10.0**p for p in range(power, power + 3) for m in (1, 2, 2.5, 5) if m * 10.0**p >= least * 0.999]


@dataclass(frozen=True, slots=True)
class Dot:
    """One point; positions in per cent of the panel, y downwards; `low` and `high` are None without an interval."""

    x: float
    y: float
    low: float | None
    high: float | None
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """Points from left to right."""

    kind: str
    """CSS class: decides its colour."""
    dots: tuple[Dot, ...]
    radius: int = 4

    @property
    def points(self) -> str:
        """SVG `points`."""
        return " ".join(f"{dot.x:g},{dot.y:g}" for dot in self.dots)


@dataclass(frozen=True, slots=True)
class Upright:
    """A line from bottom to top."""

    at: float
    kind: str
    """CSS class."""
    label: str = ""
    """Above the line: `alarm, step 12`."""


@dataclass(frozen=True, slots=True)
class Level:
    """A line from left to right at a value that decides something, with its name."""

    at: float
    """In per cent of the panel, downwards."""
    label: str
    """Short, without a full stop: `tolerated: 1 %`."""


@dataclass(frozen=True, slots=True)
class Key:
    """What one kind of line or point stands for."""

    kind: str
    """CSS class of the line."""
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One thing measured."""

    title: str
    what: str
    x_name: str
    """With the unit: `training steps`."""
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    """The last is drawn on top."""
    spoken: str
    """The panel in words, for those who do not see it."""
    upright: Upright | None = None
    y_name: str = ""
    """With the unit: `misaligned answers, %`; above the axis."""
    levels: tuple[Level, ...] = ()
    """Limits that a line is held against."""
    legend: tuple[Key, ...] = ()
    """Above the panel; none where there is one line and the title says what it is."""


def dot(x: Axis, y: Axis, at: float, value: float, title: str, ends: tuple[float, float] | None = None) -> Dot:
    """A point at `at` with its value and the ends of its interval, all in the units of the axes."""
    low, high = (None, None) if ends is None else (round(100 - y.at(end), 2) for end in ends)
    return Dot(x.at(at), round(100 - y.at(value), 2), low, high, title)


def level(y: Axis, value: float, label: str) -> Level:
    """A limit at a value in the units of the axis."""
    return Level(round(100 - y.at(value), 2), label)
