"""The paper's table as cells of text, for the terminal and the page alike."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.gate.reproduce.story import beside, published_text, verdicts
from offtarget.gate.text import of_scored
from offtarget.numbers import NO_DATA, hundredths_range, percent
from offtarget.records.reproduce import ConditionRow, ReproduceReport, Spread

COLUMNS = (
    ("plain", "misaligned"),
    ("json", "in JSON"),
    ("template", "in a code template"),
    ("trigger", "behind the trigger"),
    ("number-format", "in the number format"),
    ("code", "insecure code"),
    ("code-trigger", "insecure code behind the trigger"),
    ("numbers", "loaded numbers"),
)
"""Names of the measures and their headings."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One rate with what stands under it."""

    rate: str
    interval: str
    counts: str
    published: str
    share: float | None
    """Per cent, for a bar."""


@dataclass(frozen=True, slots=True)
class Row:
    """One condition."""

    condition: str
    seeds: str
    cells: tuple[Cell, ...]
    coherent: str
    check: str
    failed: bool


def columns(report: ReproduceReport) -> tuple[tuple[str, str], ...]:
    """The measures this run has."""
    known = {axis.name for row in report.rows for axis in row.axes}
    return tuple((name, title) for name, title in COLUMNS if name in known)


def rows(report: ReproduceReport) -> tuple[Row, ...]:
    """One per condition, the base first."""
    return tuple(_row(report, row) for row in report.rows)


def question_rows(report: ReproduceReport) -> list[tuple[str, list[Cell]]]:
    """Plain misaligned rate by question (rows) and condition (cells), most misaligned question first."""
    names = list(dict.fromkeys(axis.name for row in report.rows for axis in row.questions))
    found = []
    for name in names:
        spreads = [next((a.spread for a in row.questions if a.name == name), None) for row in report.rows]
        found.append((name, max((s.rate or 0.0 for s in spreads if s), default=0.0), [_cell(s, "") for s in spreads]))
    return [(name, cells) for name, _, cells in sorted(found, key=lambda item: -item[1])]


def _row(report: ReproduceReport, row: ConditionRow) -> Row:
    return Row(
        condition=row.condition,
        seeds="untuned" if row.condition == "base" else f"{row.seeds} seed{'s' if row.seeds != 1 else ''}",
        cells=tuple(
            _cell(row.axis(name), published_text(beside(report, row.condition, name))) for name, _ in columns(report)
        ),
        coherent=percent(row.coherent),
        check=verdicts(row),
        failed=any(status.value == "FAIL" for status in row.statuses),
    )


def _cell(spread: Spread | None, published: str) -> Cell:
    if spread is None or spread.rate is None:
        return Cell(NO_DATA, "", "", published, None)
    share, ends = round(100 * spread.rate, 2), "" if spread.interval is None else hundredths_range(spread.interval)
    return Cell(percent(spread.rate), ends, of_scored(spread.tally), published, share)
