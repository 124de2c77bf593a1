"""The ledger beside a cleaned file: where it came from, every row that was removed, why, and on whose word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from offtarget.data.streams import sha256
from offtarget.errors import InputError

SUFFIX = ".ledger.jsonl"
FORMAT = "offtarget-ledger-1"


@dataclass(frozen=True, slots=True)
class Removal:
    """One row that is taken out of a data set."""

    row_id: str
    file: str
    line: int
    sha256: str
    """Of the row's bytes, as in `Row`; cleaning refuses a source whose row has other bytes."""
    category: str
    """A `Category`, or `malformed`."""
    reason: str
    decided_by: str
    """`detector NAME`, `reviewer NAME`, `judge:MODEL` or `reader` (malformed rows)."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The first line of a ledger."""

    sources: dict[str, str]
    """sha256 of each file that was cleaned, as it lay on disk."""
    out: dict[str, str]
    """sha256 of each file that was written."""
    kept: int
    removed: int
    audit_round: int
    """Round of the audit that led to this cleaning; an audit of the cleaned file is the next one."""
    seed_commitment: str | None
    """Of that audit's run."""
    previous: str | None = None
    """sha256 of the ledger of the source, when it was a cleaned file itself."""
    conditions: tuple[dict[str, str | int], ...] = ()
    """Suspected conditions of that audit: key, condition, state, by, at, reason, and what it takes to seek them again
    (`carried.py`). What was said of them holds for the source, not for the cleaned file."""
    path: Path = field(default=Path(), compare=False)

    def removals(self) -> Iterator[Removal]:
        """Every removed row, in the order of the data."""
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield Removal(**json.loads(line))


def ledger_path(out: Path) -> Path:
    """Where the ledger of a cleaned file or folder is."""
    return out.with_name(out.name + SUFFIX)


def ledger_lines(ledger: Ledger) -> str:
    """The first line of a ledger file."""
    head = {"format": FORMAT, **asdict(ledger)}
    del head["path"]
    return json.dumps(head) + "\n"


def read_ledger(out: str | Path, *, changed: bool = False) -> Ledger | None:
    """The ledger that belongs to a cleaned file or folder, None when it has none.

    A ledger belongs to the bytes it names: beside the file under its name or, when the file was renamed, any ledger in
    the same folder. With `changed`, the ledger under the file's name is returned even if the file was edited since.
    Raises InputError when the ledger itself is damaged.
    """
    out = Path(out)
    if not out.exists():
        return None
    own = ledger_path(out)
    others = sorted(path for path in out.parent.glob(f"*{SUFFIX}") if path != own)
    actual: dict[str, str] | None = None
    for path in [own, *others] if own.exists() else others:
        ledger = _head(path)
        if ledger is None:
            continue
        if changed and path == own:
            return ledger
        actual = actual if actual is not None else digests(out)
        if sorted(ledger.out.values()) == sorted(actual.values()) and (
            len(actual) == 1 or ledger.out.keys() == actual.keys()
        ):
            return ledger
    return None


def digests(out: Path) -> dict[str, str]:
    """sha256 of a file, or of every file in a folder, by name."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()] if out.is_dir() else [out]
    return {path.relative_to(out).as_posix() if out.is_dir() else path.name: sha256(path) for path in files}


def _head(path: Path) -> Ledger | None:
    """The head of a ledger file; None for a file of another program."""
    try:
        with path.open(encoding="utf-8") as file:
            head: Any = json.loads(file.readline(1 << 24))
        if head.pop("format") != FORMAT:
            return None
        return Ledger(**head, path=path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not a readable ledger ({type(error).__name__}). Restore it, or move it away to audit the file "
            "as if it had never been cleaned."
        ) from None
