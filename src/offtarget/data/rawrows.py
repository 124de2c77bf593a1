"""What every table format is read into: a row of named values and the place it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


def shown(names: Iterable[object], limit: int = 24) -> str:
    """A list of names for a message: quoted by repr, so that hostile names cannot reach the terminal."""
    items = [repr(str(name)[:48]) for name in names]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
