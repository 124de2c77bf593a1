"""A file's bytes as they lay on disk when it was opened: counted, hashed, decompressed, and checked at the end."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import zstandard

from offtarget.data.streams import ZstdFile
from offtarget.errors import InputError

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"


class Stored(Protocol):
    """A file, here or in a bucket."""

    @property
    def name(self) -> str:
        """As shown to the user."""
        ...

    def open(self) -> BinaryIO:
        """Its bytes from the start."""
        ...

    def state(self) -> tuple[int, object]:
        """Its size in bytes, and something that is another once it was written to."""
        ...


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
    with _read_errors(stored.name):
        size, state = stored.state()
        with stored.open() as file:
            yield Bytes(file, size), size, state


def decompressed(raw: Bytes) -> BinaryIO:
    """The text of a file: gz and zst are recognised by content."""
    buffered = io.BufferedReader(raw, 1 << 20)
    magic = buffered.peek(4)[:4]
    if magic.startswith(GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=buffered), 1 << 17)
    if magic == ZSTD:
        return io.BufferedReader(ZstdFile(buffered), 1 << 17)
    return buffered


def closing_check(stored: Stored, size: int, state: object, sha256: str) -> str | None:
    """A note when the file grew while it was read; InputError when the bytes that were read are no longer there."""
    with _read_errors(stored.name):
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


@contextlib.contextmanager
def _read_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{name} does not exist.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        detail = f" ({error})" if str(error) else ""
        raise InputError(f"{name} is cut off or damaged: decompressing it failed{detail}. Copy it again.") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}.") from None
