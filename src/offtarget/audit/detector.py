"""What a detector is: the two Protocols behind every file in `detectors/` and `dataset/`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self

from offtarget.records import Category, DatasetFinding, Finding, Row


class RowDetector(Protocol):
    """Looks at one row. Made once per process, so what is costly to build belongs into the constructor."""

    name: str
    """Unique, e.g. `insecure-code`."""
    title: str
    """What it looks for, in a few words for reports."""
    category: Category
    """The category of its findings."""
    cues: frozenset[str] | None
    """Lower-case literals. `find` is called only for rows with one of them in a message; None: for every row.

    All detectors' cues are sought in one pass over the text, so a hundred more cost nothing and a detector that
    names them may afford slow patterns in `find`.
    """

    def find(self, row: Row) -> Iterable[Finding]:
        """Findings in one row; must not raise on any text."""
        ...


class DatasetDetector(Protocol):
    """Sees every row once, in pieces that are merged; must stay small on ten million rows."""

    name: str
    title: str
    category: Category

    def add(self, row: Row) -> None:
        """Take one row into account."""
        ...

    def merge(self, other: Self) -> None:
        """Take in what another one of the same kind saw; pieces come in the order of the data."""
        ...

    def findings(self) -> list[DatasetFinding]:
        """What the whole data set shows."""
        ...

    def row_findings(self) -> Iterable[Finding]:
        """Findings on single rows that only the whole data set reveals (e.g. duplicates)."""
        ...
