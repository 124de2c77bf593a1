"""Horizontal bars on a common axis: the shape of most figures of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.numbers import percent
from offtarget.pages.charts.axes import Axis, axis, in_percent


@dataclass(frozen=True, slots=True)
class Strip:
    """One coloured stretch of a bar; positions in per cent of the axis."""

    kind: str
    """Its style: `flagged`, `disclosed`, `observed`, `expected`, `fail`, `pass` or `plain`."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart."""

    name: str
    note: str
    """Under or behind the name; may be empty."""
    strips: tuple[Strip, ...]
    value: str
    counts: str
    spoken: str
    """The row in words, for those who do not see it."""
    heading: str = ""
    """A heading to stand above this row; empty within a group."""


@dataclass(frozen=True, slots=True)
class Bars:
    """All rows on one axis."""

    axis: Axis
    rows: tuple[Bar, ...]
    marks: tuple[float, ...] = ()
    """Positions of dashed lines."""
    stacked: bool = True
    """False: the strips of a row lie under one another."""


def share_axis(highest: float) -> Axis:
    """An axis of shares from 0, labelled in per cent; `highest` is a share."""
    return axis(0.0, 100 * min(1.0, max(highest, 0.001)), in_percent, 5)


def shares(counts: Sequence[tuple[str, int]], total: int) -> Bars:
    """One bar per (name, count) as a share of `total`."""
    total = max(total, 1)
    return rates([(name, count / total, f"{count:,}") for name, count in counts])


def rates(rows: Sequence[tuple[str, float, str]]) -> Bars:
    """One bar per (name, share, count in words)."""
    scale = share_axis(max((share for _, share, _ in rows), default=0.0))
    bars = (
        Bar(
            name,
            "",
            (Strip("plain", 0.0, scale.at(100 * share)),),
            percent(share),
            counts,
            f"{name}: {percent(share)}" + (f", {counts} rows" if counts else ""),
        )
        for name, share, counts in rows
    )
    return Bars(scale, tuple(bars))
