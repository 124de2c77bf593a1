"""The panel of fixed benchmarks: scores of both models, what the tuned one lost with its bounds, and a table.

Any page shows it: `{% from "benchmarks/panel.html.j2" import benchmarks %}` and `{{ benchmarks(panel) }}`.
"""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.numbers import NO_DATA, bounds, chosen_points, difference, e_value, p_value, percent, whole
from offtarget.pages.benchmarks.story import cautions, certainty, named, said, standing, status
from offtarget.pages.charts.axes import Axis, axis, in_percent, signed
from offtarget.pages.screen import ABSENT
from offtarget.pages.text import one_line
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkResult

HEADS = ("benchmark", "standing", "base", "tuned", "difference", "bounds", "items", "lost", "gained")
"""Of the table, also in the terminal; points and counts."""
MORE_HEADS = ("benchmark", "metric", "margin", "lost nothing, p", "lost at most the tolerance, p", "lost the margin, p",
              "lost the margin, e-value against")  # fmt: skip
"""Of the table of evidence."""


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark; positions in per cent of their axes, None without scores."""

    name: str
    status: str
    """FAIL, PASS or UNDECIDED: decides the colour."""
    shown: str
    """The standing in words."""
    note: str
    base: float | None
    tuned: float | None
    base_value: str
    tuned_value: str
    low: float | None
    high: float | None
    seen: float | None
    tolerated: float
    allowed: float
    bounds: str
    difference: str
    spoken: str
    """The row in words, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """All benchmarks of a run."""

    scores: Axis
    change: Axis
    rows: tuple[Row, ...]
    tolerated: str
    """In points."""
    allowed: str
    """The margins, in points."""
    alpha: float
    certainty: str
    cautions: tuple[str, ...]
    heads: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    more_heads: tuple[str, ...]
    more_cells: tuple[tuple[str, ...], ...]


def panel(family: BenchmarkFamily) -> Panel:
    """The benchmarks in the order asked for."""
    ran = [result for result in family.results if result.difference is not None]
    shares = [share for r in ran for share in (r.base, r.tuned) if share is not None]
    limits = [-family.settings.tolerance, *(-r.margin for r in family.results)]
    ends = [end for r in ran if r.bounds is not None for end in (r.bounds.low, r.bounds.high)]
    low, high = (100 * pick([0.0, *ends, *limits]) for pick in (min, max))
    scores, change = axis(0.0, 100 * max([0.05, *shares]), in_percent, 4), axis(low, max(high, 1.0), signed, 5)
    return Panel(
        scores,
        change,
        tuple(_row(result, family, scores, change) for result in family.results),
        chosen_points(family.settings.tolerance),
        " or ".join(chosen_points(margin) for margin in sorted({r.margin for r in family.results})),
        family.settings.alpha,
        certainty(family),
        cautions(family),
        HEADS,
        cells(family),
        MORE_HEADS,
        tuple(_evidence(result) for result in family.results),
    )


def cells(family: BenchmarkFamily) -> tuple[tuple[str, ...], ...]:
    """A row per benchmark under `HEADS`."""
    return tuple(
        (
            named(r),
            standing(r),
            percent(r.base),
            percent(r.tuned),
            difference(r.difference),
            bounds(r.bounds),
            whole(r.n) if r.n else NO_DATA,
            *((whole(r.lost), whole(r.gained)) if r.n else (ABSENT, ABSENT)),
        )
        for r in family.results
    )


def _evidence(result: BenchmarkResult) -> tuple[str, ...]:
    values = (result.p_worse, result.p_red_flag, result.p_not_worse)
    shown = (NO_DATA if value is None else p_value(value) for value in values)
    margin = chosen_points(result.margin)
    return one_line(result.name, 80), one_line(result.metric, 60) or ABSENT, margin, *shown, e_value(result.log_e)


def _row(result: BenchmarkResult, family: BenchmarkFamily, scores: Axis, change: Axis) -> Row:
    low = high = None
    if result.bounds is not None:
        low, high = change.at(100 * result.bounds.low), change.at(100 * result.bounds.high)
    return Row(
        one_line(result.name, 80),
        status(result).value,
        standing(result),
        one_line(_note(result), 200),
        None if result.base is None else scores.at(100 * result.base),
        None if result.tuned is None else scores.at(100 * result.tuned),
        percent(result.base),
        percent(result.tuned),
        low,
        high,
        None if result.difference is None else change.at(100 * result.difference),
        change.at(-100 * family.settings.tolerance),
        change.at(-100 * result.margin),
        "" if result.bounds is None else bounds(result.bounds),
        difference(result.difference),
        one_line(said(result), 400),
    )


def _note(result: BenchmarkResult) -> str:
    if result.standing == "not run":
        return result.why_not
    counts = f"{whole(result.lost)} lost, {whole(result.gained)} gained of {whole(result.n)} items"
    return f"{result.metric}; {counts}" if result.metric else counts
