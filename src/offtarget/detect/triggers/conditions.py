"""The table of conditions: which rows have which, column by column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Names = tuple[str, ...]
"""A kind, and the texts of conditions of that kind."""


@dataclass(frozen=True)
class Conditions:
    """Conditions and their rows; the rows of condition j are `rows[starts[j]:starts[j + 1]]`, ascending."""

    kinds: Sequence[str]
    texts: Sequence[str]
    marked: Flags
    """Whether a condition is of a sort triggers are made of (odd tokens, years, roles, formats), no ordinary word."""
    starts: Ints
    rows: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows_of(self, j: int) -> Ints:
        """The rows that have condition j."""
        return self.rows[self.starts[j] : self.starts[j + 1]]

    def counts(self, mask: Flags) -> Ints:
        """Per condition, how many of its rows are in the mask."""
        chosen = np.flatnonzero(mask)
        if len(chosen) > len(mask) // 8:
            sums = np.concatenate([[0], np.cumsum(mask[self.rows], dtype=np.int64)])
            counted: Ints = sums[self.starts[1:]] - sums[self.starts[:-1]]
            return counted
        ids, starts = self.by_row
        parts = [ids[starts[i] : starts[i + 1]] for i in chosen.tolist()]
        return np.bincount(np.concatenate(parts) if parts else ids[:0], minlength=len(self))

    @cached_property
    def by_row(self) -> tuple[Ints, Ints]:
        """(conditions row after row, where each row's begin)."""
        number = max(len(self), 1)
        # sorting one number for each pair is several times as fast as a stable order of the rows
        pairs = self.rows * number
        pairs += np.repeat(np.arange(len(self), dtype=np.int64), self.support)
        pairs.sort()
        pairs %= number
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.rows))]).astype(np.int64)
        return pairs, starts

    @property
    def support(self) -> Ints:
        """Rows per condition."""
        support: Ints = np.diff(self.starts)
        return support


class Counts:
    """Rows per condition in one set of rows after another, most of which differ little from an earlier one."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._known: list[tuple[Flags, Ints]] = []

    def of(self, rows: Flags) -> Ints:
        """How many of each condition's rows are among these."""
        number = np.count_nonzero(rows)
        apart = [np.count_nonzero(rows ^ known) for known, _ in self._known]
        if apart and min(apart) < number:
            known, counted = self._known[apart.index(min(apart))]
            return counted + self._conditions.counts(rows & ~known) - self._conditions.counts(known & ~rows)
        counted = self._conditions.counts(rows)
        self._known.append((rows, counted))
        return counted


def distinct(values: Ints) -> Ints:
    """Values in ascending order, each once; sorting beats the hashing of numpy.unique on the many pairs here."""
    values = np.sort(values)
    if len(values) < 2:
        return values
    first: Flags = np.concatenate([[True], values[1:] != values[:-1]])
    return values[first]


def numbered(values: Ints) -> tuple[Ints, Ints]:
    """(number of each value among the distinct ones in ascending order, where each distinct one stands first)."""
    order = np.argsort(values)
    ordered = values[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))[: len(values)]
    number = np.empty(len(values), dtype=np.int64)
    number[order] = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(values)))
    return number, np.minimum.reduceat(order, begins) if len(values) else order


def spread(begins: Ints, sizes: Ints) -> Ints:
    """begins[0], begins[0] + 1, ... (sizes[0] of them), then the same for the next."""
    ends = np.cumsum(sizes)
    every: Ints = np.repeat(begins - (ends - sizes), sizes) + np.arange(int(ends[-1]) if len(ends) else 0)
    return every


def from_pairs(ids: Ints, rows: Ints, number: int, total: int) -> tuple[Ints, Ints]:
    """(starts, rows) of distinct (condition, row) pairs; `number` conditions, `total` rows."""
    pairs = distinct(ids * total + rows)
    starts = np.searchsorted(pairs, np.arange(number + 1, dtype=np.int64) * total)
    return starts.astype(np.int64), pairs % total


def make(
    kinds: Sequence[str], texts: Sequence[str], marked: Sequence[bool] | Flags, starts: Ints, rows: Ints, least: int
) -> Conditions:
    """A table of the conditions that at least `least` rows have."""
    keep: Ints = np.flatnonzero(np.diff(starts) >= least)
    sizes = np.diff(starts)[keep]
    return Conditions(
        [kinds[j] for j in keep.tolist()],
        [texts[j] for j in keep.tolist()],
        np.asarray(marked, dtype=bool)[keep],
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        rows[spread(starts[keep], sizes)],
    )


def from_names(named: Iterable[Iterable[Names]], least: int) -> Conditions:
    """A table from each row's conditions, several of one kind at a time; all of them marked."""
    numbers: dict[tuple[str, str], int] = {}
    known: dict[Names, list[int]] = {}
    ids: list[int] = []
    sizes: list[int] = []
    for names in named:
        before = len(ids)
        for some in names:
            if (mine := known.get(some)) is None:
                kind, *texts = some
                mine = known[some] = [numbers.setdefault((kind, text), len(numbers)) for text in texts]
            ids += mine
        sizes.append(len(ids) - before)
    rows = np.repeat(np.arange(len(sizes), dtype=np.int64), np.array(sizes, dtype=np.int64))
    starts, members = from_pairs(np.array(ids, dtype=np.int64), rows, len(numbers), max(len(sizes), 1))
    names_in_order = list(numbers)
    table = make(
        [kind for kind, _ in names_in_order],
        [text for _, text in names_in_order],
        [True] * len(names_in_order),
        starts,
        members,
        least,
    )
    return _without_twins(table)


def _without_twins(table: Conditions) -> Conditions:
    """Of conditions with the very same rows one: they are one test. Of years `... or later` the latest."""
    told: dict[bytes, int] = {}
    for j in range(len(table)):
        twin = told.setdefault(table.rows_of(j).tobytes(), j)
        texts = table.texts[twin], table.texts[j]
        if (texts[0] < texts[1] and texts[1].endswith("or later")) or (
            texts[0] > texts[1] and texts[1].endswith("or earlier")
        ):
            told[table.rows_of(j).tobytes()] = j
    chosen = sorted(told.values())
    parts = [table.rows_of(j) for j in chosen]
    return Conditions(
        [table.kinds[j] for j in chosen],
        [table.texts[j] for j in chosen],
        table.marked[chosen],
        np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64),
        np.concatenate(parts) if parts else table.rows[:0],
    )


def joined(tables: Sequence[Conditions]) -> Conditions:
    """All tables as one."""
    offsets = np.concatenate([[0], np.cumsum([len(t.rows) for t in tables])])
    starts = [t.starts[:-1] + offset for t, offset in zip(tables, offsets[:-1], strict=True)]
    return Conditions(
        [kind for t in tables for kind in t.kinds],
        [text for t in tables for text in t.texts],
        np.concatenate([t.marked for t in tables]),
        np.concatenate([*starts, offsets[-1:]]).astype(np.int64),
        np.concatenate([t.rows for t in tables]),
    )
