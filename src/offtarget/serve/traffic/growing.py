"""A file to which somebody else adds lines: whole lines in order, from where the last reader stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from offtarget.errors import InputError

LONGEST = 16 * 1024 * 1024
"""Bytes of a line; a longer one is passed over and named."""
_KNOWN_BY = 1024
"""Bytes at the beginning by which a file is known again."""
_AT_ONCE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where a file was read."""

    offset: int = 0
    """Bytes."""
    line: int = 0
    """Lines before the offset."""
    begins: str = ""
    """Hash of how the file begins; another file under the same name begins otherwise."""
    known_by: int = 0
    """Bytes that were hashed."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end."""

    number: int
    """1 for the first of the file."""
    text: bytes
    too_long: bool = False
    """Whether it is longer than is read; then `text` is empty."""


class Growing:
    """Reads a file that grows, is replaced by another of the same name, or is emptied and filled again."""

    def __init__(self, path: Path, place: Place = Place()) -> None:
        """Goes on at `place` where the file still begins as it did, else at the beginning. Raises InputError."""
        self.path = path
        self._file = self._opened()
        self._offset, self._number = (place.offset, place.line) if self._is_known(place) else (0, 0)
        self._known = self._beginning(min(self._offset, _KNOWN_BY))
        self.went_on = self._offset > 0
        """Whether it goes on where another reader stopped."""

    def lines(self, *, last: bool = False) -> Iterator[Line]:
        """The whole lines that are there now. `last`: nothing is added any more, so the rest is a line too."""
        while True:
            yield from self._of_this_file(last=last)
            if not self._replaced():
                return
            yield from self._of_this_file(last=True)
            self._file.close()
            self._file = self._opened()
            self._start_again()

    def place(self) -> Place:
        """Up to where lines were given out."""
        return Place(self._offset, self._number, *self._known)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _of_this_file(self, *, last: bool) -> Iterator[Line]:
        if not self._is_known(self.place()):  # emptied and begun again
            self._start_again()
        while True:
            found = self._next_line(last=last)
            if found is None:
                return
            length, line = found
            self._offset += length
            self._number += 1
            if self._known[1] < _KNOWN_BY:
                self._known = self._beginning(min(self._offset, _KNOWN_BY))
            yield line

    def _start_again(self) -> None:
        self._offset = self._number = 0
        self._known = self._beginning(0)

    def _next_line(self, *, last: bool) -> tuple[int, Line] | None:
        """How long the next line is with its end, and the line; None where none is whole."""
        self._file.seek(self._offset)
        parts, length = [], 0
        while piece := self._file.readline(_AT_ONCE):
            length += len(piece)
            if length <= LONGEST:
                parts.append(piece)
            if piece.endswith(b"\n"):
                break
        else:
            if not (last and length):
                return None
        too_long = length > LONGEST
        return length, Line(self._number + 1, b"" if too_long else b"".join(parts).rstrip(b"\r\n"), too_long)

    def _opened(self) -> BinaryIO:
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}.") from None
        if not file.seekable():
            file.close()
            raise InputError(f"{self.path} is no file that grows, such as a log; a pipe cannot be gone back to.")
        return file

    def _replaced(self) -> bool:
        """Whether another file has the name now, as after a rotation of logs."""
        try:
            now = self.path.stat()
        except OSError:  # between the old and the new one
            return False
        mine = os.fstat(self._file.fileno())
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)

    def _is_known(self, place: Place) -> bool:
        if os.fstat(self._file.fileno()).st_size < place.offset:
            return False
        return self._beginning(place.known_by)[0] == place.begins

    def _beginning(self, length: int) -> tuple[str, int]:
        self._file.seek(0)
        return hashlib.sha256(self._file.read(length)).hexdigest(), length
