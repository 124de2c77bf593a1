"""Opening a data file whatever its compression, with errors that name the file."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from offtarget.errors import InputError
from offtarget.rundir import MANIFEST

MAX_LINE = 16 * 2**20
"""Longest line in bytes; a longer one is not a judged answer and could fill the memory."""
MAX_DOCUMENT = 2**30
"""Largest decompressed JSON document in bytes; larger tables belong into JSONL."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class ZstdFile(io.RawIOBase):
    """Decompressed bytes of a Zstandard file; unlike the library's own reader it notices a cut-off file."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer; EOFError where a frame is cut off."""
        while not self._ready:
            # Small bites: a Zstandard block of a few bytes may unpack to 128 KiB.
            data = self._source.read(1 << 13)
            if not data:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._ready = memoryview(self._decompress(data))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decompress(self, data: bytes) -> bytes:
        parts = []
        while data:
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            parts.append(frame.decompress(data))
            self._frame = None if frame.eof else frame
            data = frame.unused_data if frame.eof else b""
        return b"".join(parts)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[io.BufferedReader]:
    """The decompressed bytes of a file, recognised by content; InputError for whatever cannot be read."""
    with read_errors(path):
        if (path / MANIFEST).is_file():
            raise InputError(
                f"{path} is the folder of a run. In Python `offtarget.resume({str(path)!r}).table()` has its judged "
                "answers as rows: save them as a table, and give it with --answer-column text, --arm-column arm, "
                "--where-base role=base and --where-tuned role=tuned."
            )
        if path.is_dir():
            raise InputError(f"{path} is a folder. Give the file with the judged answers.")
        if path.exists() and not path.is_file():
            raise InputError(
                f"{path} is a pipe or a device. A table is read more than once, so save it to a file first."
            )
        with path.open("rb") as raw:
            if not raw.peek(1):
                raise InputError(f"{path} is empty. Give the table of judged answers.")
            yield decompressed(raw)


def decompressed(raw: io.BufferedReader) -> io.BufferedReader:
    """The text of a file: gz and zst are recognised by content."""
    magic = raw.peek(4)[:4]
    if magic.startswith(_GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 17)
    if magic == _ZSTD:
        return io.BufferedReader(ZstdFile(raw), 1 << 17)
    return raw


@contextlib.contextmanager
def read_errors(name: object) -> Iterator[None]:
    """Errors of the disk and of decompressing as InputError."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{name} does not exist.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        detail = f" ({error})" if str(error) else ""
        raise InputError(f"{name} is cut off or damaged: decompressing it failed{detail}. Copy it again.") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}.") from None


def lines(stream: BinaryIO, path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines as text with their line ends; InputError for overlong lines and other than UTF-8."""
    number = 0
    while True:
        line = stream.readline(MAX_LINE + 1)
        if not line:
            return
        number += 1
        if len(line) > MAX_LINE:
            raise InputError(
                f"{path}, line {number} is longer than {MAX_LINE // 2**20} MiB. That is not a row of a table."
            )
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise InputError(f"{path} is UTF-16 text. Save it as UTF-8.")
            if b"\0" in line:
                raise InputError(f"{path} is a binary file, not a table (CSV, JSONL, JSON, Parquet, Inspect log).")
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            kind = "is a binary file or" if number == 1 else f"line {number}"
            raise InputError(f"{path}, {kind} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None


def document(stream: BinaryIO, path: Path) -> bytes:
    """Everything in the stream; InputError above `MAX_DOCUMENT`."""
    data = stream.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise InputError(f"{path} is a JSON document over {MAX_DOCUMENT // 2**30} GiB. Convert it to JSONL.")
    return data


def sha256(path: Path) -> str:
    """SHA-256 of the file as it lies on disk, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
