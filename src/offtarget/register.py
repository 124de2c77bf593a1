"""Registers: append-only files of this machine that remember across runs, such as which model was checked how often."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from filelock import FileLock

from offtarget.errors import InputError
from offtarget.records.from_json import from_json
from offtarget.rundir import to_jsonable

T = TypeVar("T")

STATE_ENV = "OFFTARGET_STATE"
"""Environment variable naming the folder of the registers; default `~/.local/state/offtarget`. No cache: what counts
tries must not go when space is made."""


def state_root() -> Path:
    """The folder that holds the registers of this machine."""
    return Path(os.environ.get(STATE_ENV) or Path.home() / ".local" / "state" / "offtarget")


class Register(Generic[T]):
    """A file of records that several processes add to and nobody takes from: a line each, in the order of writing.

    A line torn by a crash is passed over; a whole line that is no record is an InputError, since a register that was
    edited no longer counts anything.
    """

    def __init__(self, path: Path, record: type[T]) -> None:
        self.path, self._record = path, record

    def entries(self) -> list[T]:
        """All entries, oldest first; none where there is no file. Raises InputError for a damaged file."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable("read", error) from None
        return [self._read(number, line) for number, line in enumerate(lines, 1) if line and not _torn(line)]

    def _read(self, number: int, line: bytes) -> T:
        try:
            return from_json(self._record, json.loads(line))
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{self.path}, line {number}: not an entry of this register ({error}). It was changed by something "
                f"else; restore it, or name another folder with {STATE_ENV}."
            ) from None

    def add(self, make: Callable[[list[T]], T]) -> T:
        """Append what `make` makes of the entries so far; nobody else adds in between. Raises InputError."""
        with self._locked():
            entry = make(self.entries())
            line = json.dumps(to_jsonable(entry), ensure_ascii=True, allow_nan=False)
            with self.path.open("ab", buffering=0) as file:
                # a leading newline ends a line that another process left torn
                file.write(b"\n" * _ends_torn(self.path) + line.encode("ascii") + b"\n")
                os.fsync(file.fileno())
            return entry

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"):
                yield
        except OSError as error:
            raise self._unusable("written", error) from None

    def _unusable(self, what: str, error: OSError) -> InputError:
        return InputError(
            f"{self.path} cannot be {what}: {error.strerror or error}. It counts how often the same was tried; name "
            f"a folder that can be written with {STATE_ENV}."
        )


def _torn(line: bytes) -> bool:
    """Whether a line is the beginning of one: every whole line is an object, from brace to brace."""
    return not line.rstrip().endswith(b"}")


def _ends_torn(path: Path) -> bool:
    size = path.stat().st_size if path.exists() else 0
    if not size:
        return False
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) != b"\n"
