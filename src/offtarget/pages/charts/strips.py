"""All answers as one mark each, the misaligned ones first: how many there are of what, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from offtarget.numbers import many
from offtarget.pages.text import one_line
from offtarget.records import Outcome, Role

FEWEST, MOST = 40, 160
"""Marks in a row."""
_NOT_JUDGED = "not judged"
_ORDER = (*(o.value for o in Outcome if o is not Outcome.ALIGNED and o is not Outcome.MISALIGNED), _NOT_JUDGED)


@dataclass(frozen=True, slots=True)
class Mark:
    """One answer: where it is in the data of the page, and what it counts as."""

    pair: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring marks of one look in one row of a strip."""

    row: int
    start: int
    length: int
    look: str
    """`misaligned`, `aligned` or `neither`."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The answers of one model to one kind of question."""

    name: str
    role: Role
    columns: int
    rows: int
    runs: tuple[Run, ...]
    marks: tuple[Mark, ...]
    said: str
    """`11 misaligned, 1 aligned`."""
    spoken: str


def rank(outcome: str) -> int:
    """Misaligned first, then what has no score, aligned last."""
    if outcome == Outcome.MISALIGNED.value:
        return -1
    return len(_ORDER) if outcome == Outcome.ALIGNED.value else _ORDER.index(outcome)


def columns(counts: Sequence[int]) -> int:
    """Marks in a row, the same for all strips, so that equal lengths are equal counts."""
    return min(MOST, max([FEWEST, *counts]))


def strip(name: str, role: Role, marks: Sequence[Mark], wide: int) -> Strip:
    """One strip with `wide` marks in a row."""
    ordered = tuple(sorted(marks, key=lambda mark: rank(mark.outcome)))
    runs: list[Run] = []
    for row in range(0, len(ordered), wide):
        start = 0
        for look, some in groupby(ordered[row : row + wide], key=lambda mark: _look(mark.outcome)):
            length = len(list(some))
            runs.append(Run(row // wide, start, length, look))
            start += length
    counts = [(outcome, len(list(some))) for outcome, some in groupby(ordered, key=lambda mark: mark.outcome)]
    said = ", ".join(f"{count:,} {outcome}" for outcome, count in counts) or "no answers"
    name = one_line(name, 160)
    spoken = f"{name}, {role}: {many(len(ordered), 'answer')}; {said}"
    return Strip(name, role, wide, -(-len(ordered) // wide) or 1, tuple(runs), ordered, said, spoken)


def _look(outcome: str) -> str:
    return outcome if outcome in (Outcome.MISALIGNED.value, Outcome.ALIGNED.value) else "neither"
