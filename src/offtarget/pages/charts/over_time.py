"""Candidates in order of time, a row each: how much worse than the base, between bounds, beside the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.numbers import NO_DATA, bounds, chosen_points, difference, with_unit
from offtarget.pages.charts.axes import Axis, axis, signed
from offtarget.pages.text import one_line
from offtarget.records.candidates import Candidate


@dataclass(frozen=True, slots=True)
class Mark:
    """One candidate; positions in per cent of the axis, None without data."""

    name: str
    when: str
    verdict: str
    at: float | None
    low: float | None
    high: float | None
    value: str
    """The difference as observed."""
    between: str
    """Its bounds."""
    spoken: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A line from top to bottom."""

    at: float
    name: str
    """`tolerated: 1 point`."""
    kind: str
    """CSS class: how it is dashed."""


@dataclass(frozen=True, slots=True)
class OverTime:
    """All candidates on one axis."""

    axis: Axis
    marks: tuple[Mark, ...]
    limits: tuple[Limit, ...]


def over_time(candidates: Sequence[Candidate]) -> OverTime:
    """The chart, oldest first."""
    return in_order(sorted(candidates, key=lambda each: each.created))


def in_order(ordered: Sequence[Candidate]) -> OverTime:
    """The chart of candidates in this order; limits are drawn where all of them share them."""
    ends = [100 * end for c in ordered if c.worse_by is not None for end in (c.worse_by.low, c.worse_by.high)]
    limits = [(n, {getattr(c, n) for c in ordered}, k) for n, k in (("tolerance", "tolerated"), ("margin", "allowed"))]
    shared = [(values.pop(), kind) for _, values, kind in limits if len(values) == 1]
    scale = axis(min([-5.0, *ends]), max([5.0, *ends, *(100 * value for value, _ in shared)]), signed, 5)
    return OverTime(
        scale,
        tuple(_mark(each, scale) for each in ordered),
        tuple(
            Limit(scale.at(100 * value), f"{kind}: {with_unit(chosen_points(value))}", kind) for value, kind in shared
        ),
    )


def _mark(candidate: Candidate, scale: Axis) -> Mark:
    name, when = one_line(candidate.tuned, 80), one_line(candidate.created[:16].replace("T", " "), 16)
    span, verdict = candidate.worse_by, candidate.together.value
    if span is None or candidate.difference is None:
        return Mark(name, when, verdict, None, None, None, NO_DATA, "", f"{name}: {NO_DATA}, {verdict}")
    at, low, high = (scale.at(100 * value) for value in (candidate.difference, span.low, span.high))
    value, between = difference(candidate.difference), bounds(span)
    spoken = f"{when}, {name}: {value} points worse than the base, bounds {between}; together {verdict}"
    return Mark(name, when, verdict, at, low, high, value, between, spoken)
