"""One cleaned text file while it is written: pieces in, compressed bytes out."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Any

import zstandard

from offtarget.data.training import Piece


class CleanedFile:
    """Writes pieces verbatim; in a JSON array it sets the commas between elements."""

    def __init__(self, path: Path, suffix: str, array: bool) -> None:
        self._raw = path.open("wb")
        self._stream: IO[bytes] | Any = self._raw
        if suffix == ".gz":
            self._stream = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._raw, mtime=0)
        elif suffix == ".zst":
            self._stream = zstandard.ZstdCompressor(level=3).stream_writer(self._raw, closefd=False)
        self._array, self._elements, self._in_element = array, 0, False

    def write(self, piece: Piece) -> None:
        """Append a piece that is kept."""
        if self._array and piece.kind in ("record", "part") and not self._in_element:
            if self._elements:
                self._stream.write(b",")
            self._elements += 1
        self._in_element = piece.kind == "part"
        self._stream.write(piece.raw)

    def finish(self) -> None:
        """End the compressed stream and the file."""
        if self._stream is not self._raw:
            self._stream.close()
        self._raw.close()

    def close(self) -> None:
        """Let go of the file after an error."""
        self._raw.close()
