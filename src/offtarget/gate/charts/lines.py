"""Line charts: what is measured on a common horizontal axis, one panel each."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.gate.charts.axes import Axis


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


@dataclass(frozen=True, slots=True)
class Panel:
    """One thing measured."""

    title: str
    what: str
    x_name: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    """The last is drawn on top."""
    spoken: str
    """The panel in words, for those who do not see it."""
    upright: Upright | None = None


def dot(x: Axis, y: Axis, at: float, value: float, title: str, ends: tuple[float, float] | None = None) -> Dot:
    """A point at `at` with its value and the ends of its interval, all in the units of the axes."""
    low, high = (None, None) if ends is None else (round(100 - y.at(end), 2) for end in ends)
    return Dot(x.at(at), round(100 - y.at(value), 2), low, high, title)
