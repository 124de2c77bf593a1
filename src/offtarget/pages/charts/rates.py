"""Rates as dots and, beside them, the bounds that the verdict is read off, with the limits it holds them against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offtarget.numbers import bounds, chosen_points, difference, percent
from offtarget.pages.charts.axes import Axis, axis, in_percent, signed
from offtarget.pages.text import of_scored, one_line
from offtarget.records import Interval, Role, Status, Tally

SHOWN = {Status.FAIL: "worse than tolerated", Status.PASS: "within the limit", Status.UNDECIDED: "undecided"}
"""What is shown of one scope; the words of the verdict are kept for the verdict."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One scope as its decision has it."""

    name: str
    note: str
    """What has to be known of it besides, in a few words; mostly empty."""
    base: Tally
    tuned: Tally
    base_rate: float | None
    tuned_rate: float | None
    difference: float | None
    interval: Interval | None
    status: Status | None
    """None where it has no status of its own."""
    tolerated: float | None = None
    allowed: float | None = None
    """What the verdict holds the bounds against; None where it does not."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One model's rate; `at` in per cent of the axis, None without data."""

    role: Role
    at: float | None
    value: str
    counts: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that bounds are held against; position in per cent of the axis."""

    kind: str
    """`tolerated` or `allowed`."""
    at: float


@dataclass(frozen=True, slots=True)
class Row:
    """One scope; positions in per cent of their axes."""

    name: str
    note: str
    status: str
    """FAIL, PASS, UNDECIDED or empty: decides the colour."""
    shown: str
    """The same in words."""
    dots: tuple[Dot, Dot]
    """Tuned, then base."""
    low: float | None
    high: float | None
    """Ends of the bounds; None without them."""
    seen: float | None
    """The observed difference."""
    limits: tuple[Limit, ...]
    bounds: str
    """In points, without the unit; empty without them."""
    difference: str
    spoken: str
    """The row in words, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class Rates:
    """All rows on one pair of axes."""

    title: str
    rates: Axis
    worse: Axis
    rows: tuple[Row, ...]
    tolerated: str
    allowed: str
    """The limits in words, empty where no row has one."""
    counted: str
    """What the rates are shares of: `misaligned answers`."""


def rates(title: str, scopes: Sequence[Measured], counted: str = "misaligned answers") -> Rates:
    """The rows in the order given."""
    shares = [rate for s in scopes for rate in (s.base_rate, s.tuned_rate) if rate is not None]
    ends = [end for s in scopes if s.interval is not None for end in (s.interval.low, s.interval.high)]
    limits = [limit for s in scopes for limit in (s.tolerated, s.allowed) if limit is not None]
    seen = [s.difference for s in scopes if s.difference is not None]
    share_axis = axis(0.0, 100 * max([0.05, *shares]), in_percent, 4)
    low, high = (100 * pick([0.0, *ends, *limits, *seen]) for pick in (min, max))
    worse_axis = axis(low, max(high, low + 1.0), signed, 4)
    rows = tuple(_row(scope, share_axis, worse_axis) for scope in scopes)
    tolerated, allowed = _listed(s.tolerated for s in scopes), _listed(s.allowed for s in scopes)
    return Rates(title, share_axis, worse_axis, rows, tolerated, allowed, counted)


def _listed(limits: Iterable[float | None]) -> str:
    """`2 or 5`: the different limits, smallest first."""
    known = sorted({limit for limit in limits if limit is not None})
    return " or ".join(chosen_points(limit) for limit in known)


def _row(scope: Measured, shares: Axis, worse: Axis) -> Row:
    dots = (
        _dot("tuned", scope.tuned_rate, scope.tuned, shares),
        _dot("base", scope.base_rate, scope.base, shares),
    )
    limits = tuple(
        Limit(kind, worse.at(100 * limit))
        for kind, limit in (("tolerated", scope.tolerated), ("allowed", scope.allowed))
        if limit is not None
    )
    low = high = None
    if scope.interval is not None:
        low, high = worse.at(100 * scope.interval.low), worse.at(100 * scope.interval.high)
    said = "; ".join(f"{dot.role} {dot.value}" + (f", {dot.counts}" if dot.counts else "") for dot in dots)
    between = "" if scope.interval is None else bounds(scope.interval)
    spoken = f"{one_line(scope.name, 120)}: {said}" + (f"; worse by {between} points" if between else "")
    return Row(
        one_line(scope.name, 160),
        one_line(scope.note, 200),
        "" if scope.status is None else scope.status.value,
        "" if scope.status is None else SHOWN[scope.status],
        dots,
        low,
        high,
        None if scope.difference is None else worse.at(100 * scope.difference),
        limits,
        between,
        difference(scope.difference),
        spoken,
    )


def _dot(role: Role, rate: float | None, tally: Tally, shares: Axis) -> Dot:
    if rate is None or not tally.scored:
        return Dot(role, None, percent(None), "")
    return Dot(role, shares.at(100 * rate), percent(rate), of_scored(tally))
