"""Keys of rows for comparing millions of them: hashes of their text, and the places to find them again."""

from __future__ import annotations

from array import array
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from offtarget.detect.remembered import remembered
from offtarget.records import Message, Row

Keys = npt.NDArray[np.uint64]


def normal(text: str) -> str:
    """Lower case, one space between words."""
    return " ".join(text.lower().split())


_normal_again = remembered(normal)
"""For texts that come again: all but the user's."""


def text_key(text: str) -> int:
    """64 bits of BLAKE2b: two of ten million different texts share one with probability 3e-6."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


_recent: list[Row | str] = ["", ""]


def prompt_text(row: Row) -> str:
    """Everything before the answer, normalised, with the roles and the tools; remembers the last row asked about."""
    if _recent[0] is not row:
        parts = [_part(message) for message in row.messages[: row.answer_at]]
        if row.tools:
            parts.append(f"tools\1{normal(row.offered)}")
        _recent[:] = [row, "\0".join(parts)]
    return str(_recent[1])


def _part(message: Message) -> str:
    text = message.text
    return f"{message.role}\1{normal(text) if message.role == 'user' else _normal_again(text)}"


def answer_text(row: Row) -> str:
    """All that the answer says, its reasoning included, normalised; empty where nothing is learned."""
    at = row.answer_at
    return "" if at is None else _normal_again(row.messages[at].text)


class Places:
    """Files and lines of rows in little memory (8 bytes a row), in the order they were added."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._file = array("I")
        self._line = array("I")

    def __len__(self) -> int:
        return len(self._line)

    def add(self, row: Row) -> None:
        """The next row."""
        self.append(row.file, row.line)

    def append(self, file: str, line: int) -> None:
        """The next row, by its place."""
        self._file.append(self._files.setdefault(file, len(self._files)))
        self._line.append(line)

    def take(self, file: str, lines: bytes) -> None:
        """The next rows of one file; their lines as numbers of 32 bits."""
        before = len(self._line)
        self._line.frombytes(lines)
        if (number := len(self._line) - before) > 0:
            self._file.extend(array("I", [self._files.setdefault(file, len(self._files))]) * number)

    def merge(self, other: Places) -> None:
        """Append the other's rows."""
        numbers = [self._files.setdefault(name, len(self._files)) for name in other._files]
        self._file.extend([numbers[n] for n in other._file])
        self._line.extend(other._line)

    def row_id(self, at: int) -> str:
        """Id of the row added as number `at`, from 0."""
        return f"{list(self._files)[self._file[at]]}:{self._line[at]}"


def groups(keys: Keys) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Positions sorted by key, in order within a key, and where in them each key begins."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(keys) else np.zeros(0, np.intp)
    return order, starts
