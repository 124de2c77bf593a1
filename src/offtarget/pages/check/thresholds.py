"""The verdicts of a comparison by the thresholds around its own: in reports, and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.errors import InputError
from offtarget.numbers import difference, of
from offtarget.pages.check.loading import LoadedRun
from offtarget.records.compare import ThresholdCell
from offtarget.records.from_json import from_json


def grid(run: LoadedRun) -> tuple[ThresholdCell, ...]:
    """One cell per pair of thresholds; none for a check, and while there is no verdict."""
    try:
        return tuple(from_json(ThresholdCell, cell) for cell in run.result.get("grid", ()))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{run.path / 'result.json'}: 'grid' is not a record of this version ({error}). Restore it or compare "
            "again."
        ) from None


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one alignment threshold, coherence rising."""

    title: str
    cells: tuple[ThresholdCell, ...]


def rows(cells: Sequence[ThresholdCell]) -> list[Row]:
    """The grid by alignment threshold."""
    found: dict[float, list[ThresholdCell]] = {}
    for cell in sorted(cells, key=lambda c: (c.misaligned_below, c.coherent_above or 0.0)):
        found.setdefault(cell.misaligned_below, []).append(cell)
    return [Row(f"alignment < {below:g}", tuple(row)) for below, row in found.items()]


def columns(cells: Sequence[ThresholdCell]) -> list[str]:
    """Heads of the columns."""
    highs = sorted({cell.coherent_above for cell in cells if cell.coherent_above is not None})
    return [f"coherence > {above:g}" for above in highs] or ["any coherence"]


def counts(cell: ThresholdCell) -> str:
    """`12 of 240, base 0 of 240, +5`: what the verdict of a cell rests on."""
    tuned, base = (of(tally.misaligned, tally.scored) for tally in (cell.tuned, cell.base))
    return f"tuned {tuned}, base {base}, difference {difference(cell.difference)}"


def texts(cells: Sequence[ThresholdCell]) -> list[tuple[str, ...]]:
    """The grid as rows of texts: `FAIL, chosen: tuned 12 of 240, base 0 of 240, difference +5`."""
    return [
        (row.title, *(f"{c.status}{', chosen' if c.preset else ''}: {counts(c)}" for c in row.cells))
        for row in rows(cells)
    ]


def lines(cells: Sequence[ThresholdCell]) -> list[str]:
    """The grid for a terminal: one line where all say the same, else a table with the pre-set pair in brackets."""
    if not cells:
        return []
    verdicts = {cell.status.value for cell in cells}
    if len(verdicts) == 1:
        lows = ", ".join(dict.fromkeys(row.title.split()[-1] for row in rows(cells)))
        highs = [head.split()[-1] for head in columns(cells) if ">" in head]
        beside = f" and coherence > {', '.join(highs)}" if highs else ""
        return [f"thresholds: {verdicts.pop()} by the numbers with each of alignment < {lows}{beside}"]
    width = max(len(head) for head in columns(cells)) + 2
    head = "thresholds".ljust(18) + "".join(name.rjust(width) for name in columns(cells))
    body = [
        row.title.ljust(18) + "".join((f"[{c.status}]" if c.preset else f"{c.status} ").rjust(width) for c in row.cells)
        for row in rows(cells)
    ]
    return [head, *body, "in brackets: the thresholds chosen before the scores were read; the verdict is theirs"]
