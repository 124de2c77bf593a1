"""A file's bytes as they lay on disk when it was opened: counted, hashed, and checked at the end."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from offtarget.data.streams import read_errors
from offtarget.data.training.stored import Stored
from offtarget.errors import InputError


class Bytes(io.RawIOBase):
    """The first `size` bytes of a file, counted and hashed as they are read; what is appended meanwhile is not read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.count = 0
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as there are bytes."""
        data = self._file.read(min(len(buffer), self._size - self.count))
        buffer[: len(data)] = data
        self.count += len(data)
        self._digest.update(data)
        return len(data)

    def sha256(self) -> str:
        """Of all bytes, those nobody asked for included."""
        while self.read(1 << 20):
            pass
        return self._digest.hexdigest()


@contextlib.contextmanager
def opened(stored: Stored) -> Iterator[tuple[Bytes, int, object]]:
    """The bytes of a file with its size and state at that time; InputError for whatever cannot be read."""
    with read_errors(stored.name):
        size, state = stored.state()
        with stored.open() as file:
            yield Bytes(file, size), size, state


def closing_check(stored: Stored, size: int, state: object, sha256: str) -> str | None:
    """A note when the file grew while it was read; InputError when the bytes that were read are no longer there."""
    with read_errors(stored.name):
        now, later = stored.state()
        if (now, later) == (size, state):
            return None
        with stored.open() as file:
            again = Bytes(file, size).sha256()
    if now < size or again != sha256:
        raise InputError(
            f"{stored.name} was changed while it was read, so what was read is neither the old file nor the new one. "
            "Start again when nothing writes to it."
        )
    if now == size:
        return None
    return (
        f"{stored.name} grew while it was read: the {size:,} bytes there at the start were read, "
        f"{now - size:,} bytes came later and were not."
    )
