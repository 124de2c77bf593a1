"""How long prompts and answers are: a column per class of lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offtarget.numbers import short
from offtarget.pages.audit import facts
from offtarget.pages.audit.loading import LoadedAudit

FEWEST = 6
"""Classes drawn at least, so that one full class is not one huge column."""


@dataclass(frozen=True, slots=True)
class Column:
    """One class; positions in per cent of the plot's width and height, y downwards."""

    x: float
    width: float
    y: float
    height: float
    label: str
    """Upper end of the class; empty where there is no room for it."""
    middle: float
    spoken: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Lengths of one side of the rows."""

    side: str
    """`answer` or `prompt`."""
    columns: tuple[Column, ...]
    rows: int
    spoken: str


def histograms(run: LoadedAudit) -> tuple[Histogram, ...]:
    """Answers, then prompts; a side without counts is left out."""
    lengths = facts.mapping(run.scan.get("lengths"))
    made = (_histogram(side, lengths.get(side)) for side in ("answer", "prompt"))
    return tuple(h for h in made if h is not None)


def _histogram(side: str, value: Any) -> Histogram | None:
    classes = _classes(value)
    total, highest = sum(n for _, n in classes), max((n for _, n in classes), default=0)
    if not total:
        return None
    width = 100 / len(classes)
    columns = []
    for number, (upper, n) in enumerate(classes):
        height = round(100 * n / highest, 2)
        name = "longer" if upper == 0 else f"≤{short(upper)}"
        columns.append(
            Column(
                x=round(number * width + width * 0.08, 2),
                width=round(width * 0.84, 2),
                y=round(100 - height, 2),
                height=height,
                label=name if number % max(1, -(-len(classes) // 7)) == 0 else "",
                middle=round((number + 0.5) * width, 2),
                spoken=f"{name} characters: {n:,} rows",
            )
        )
    return Histogram(side, tuple(columns), total, f"Lengths of the {side}s: " + "; ".join(c.spoken for c in columns))


def _classes(value: Any) -> list[tuple[int, int]]:
    """(upper end, rows) in order, 0 (anything longer) last, without most empty classes at both ends."""
    pairs = [
        (upper, n)
        for item in (value if isinstance(value, list) else [])
        if isinstance(item, list) and len(item) == 2
        if (upper := facts.count(item[0]) or 0) is not None and (n := facts.count(item[1])) is not None
    ]
    pairs.sort(key=lambda pair: (pair[0] == 0, pair[0]))
    filled = [number for number, (_, n) in enumerate(pairs) if n]
    if not filled:
        return []
    missing = max(0, FEWEST - (filled[-1] + 1 - filled[0]))
    first = max(0, filled[0] - missing // 2)
    return pairs[first : max(filled[-1] + 1, first + FEWEST)]
