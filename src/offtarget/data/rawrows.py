"""What every table format is read into: a row of named values and the place it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it stands in the file."""

    path: Path
    unit: str
    """`line` for text files, `row` where lines mean nothing, `sample` for Inspect logs."""
    number: int
    """1-based, in `unit`s."""
    values: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where the row is, for messages."""
        return f"{self.path}, {self.unit} {self.number}"


@dataclass(slots=True)
class About:
    """What a file says of all its rows together; filled while they are read."""

    judge: str | None = None
    """Who judged, where a JSON document says so beside its rows."""
    scorers: dict[str, str] = field(default_factory=dict)
    """Of an Inspect log: name of a scorer -> who that is, with its model and a digest of its options."""
    score_columns: set[str] = field(default_factory=set)
    """Of an Inspect log: the columns that hold scores, whatever they are called."""
    arm: str | None = None
    """Of an Inspect log of our own tasks: the column that holds the arm."""
    audited: str | None = None
    """Of an Inspect log of an audit, in which one model asks another: the one that is asked."""
    expected: int | None = None
    """Of an Inspect log: how many samples it says it has."""
    tool: str | None = None
    """Of a report by a tool that attacks models: its name. Such a report says itself what its scores mean."""
    how: dict[str, str] = field(default_factory=dict)
    """What must be alike in two reports, or logs of audits, for their rates to be compared: name -> what it is."""
    alike: str = ""
    """Of such a report: how to have both models asked the same, as a sentence."""
    made: dict[str, str] = field(default_factory=dict)
    """Settings with which the answers of a report, or of an audit, were drawn."""
    notes: list[str] = field(default_factory=list)
    """What belongs beside a verdict."""
    unfinished: str | None = None
    """Why rows may be missing, in words; None where the file says nothing of the kind."""


def shown(names: Iterable[object], limit: int = 24) -> str:
    """A list of names for a message: quoted by repr, so that hostile names cannot reach the terminal."""
    items = [repr(str(name)[:48]) for name in names]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
