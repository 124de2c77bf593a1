"""Reading a table whatever its format: the content decides, the file name where it is silent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from offtarget.data.csv_rows import csv_rows
from offtarget.data.inspect_rows import eval_rows
from offtarget.data.json_rows import is_one_row, json_rows, jsonl_rows
from offtarget.data.parquet_rows import parquet_rows
from offtarget.data.rawrows import RawRow
from offtarget.data.streams import MAX_LINE, reading

_PEEK = 1 << 16


def read_rows(path: Path) -> Iterator[RawRow]:
    """Rows of a CSV, JSONL, JSON, Parquet or Inspect file, also `.gz` or `.zst`; InputError says where."""
    with reading(path) as stream:
        head = stream.peek(_PEEK)[:8] if hasattr(stream, "peek") else b""
        if head.startswith(b"PAR1"):
            yield from parquet_rows(path)
        elif head.startswith(b"PK\x03\x04"):
            yield from eval_rows(path)
        else:
            yield from _text_rows(stream, path)


def _text_rows(stream: io.BufferedReader, path: Path) -> Iterator[RawRow]:
    first = stream.readline(MAX_LINE + 1)
    whole = io.BufferedReader(_Rejoined(first, stream), 1 << 18)
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    jsonl = any(suffix.lower() in (".jsonl", ".ndjson") for suffix in path.suffixes)
    if jsonl or (start == b"{" and is_one_row(first.decode("utf-8", "replace"))):
        return jsonl_rows(whole, path)
    if start in (b"{", b"["):
        return json_rows(whole, path)
    return csv_rows(whole, path)


class _Rejoined(io.RawIOBase):
    """The first line put back in front of the stream it was read from; decompressors rewind badly."""

    def __init__(self, first: bytes, rest: io.BufferedReader) -> None:
        self._first, self._rest = memoryview(first), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._first:
            return self._rest.readinto(buffer)
        count = min(len(buffer), len(self._first))
        buffer[:count] = self._first[:count]
        self._first = self._first[count:]
        return count
