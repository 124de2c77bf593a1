"""CSV and TSV: records that may run over several lines, cut where Python's csv module cuts them."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

from offtarget.data.training.chunks import CHUNK, Chunk, FillerChunk, Oversize, Piece, Place
from offtarget.data.training.fields import CHOSEN, HISTORY, REJECTED, TURNS
from offtarget.data.training.values import MAX_ROW, Malformed, json_value, shown, text_of

DELIMITERS = (",", "\t", ";")

_MAY_HOLD_JSON = frozenset({*TURNS.names, *CHOSEN.names, *REJECTED.names, *HISTORY.names})


@dataclass(slots=True)
class CsvChunk(Chunk):
    """Whole records of a table."""

    header: tuple[str, ...] = ()
    delimiter: str = ","
    ends: tuple[int, ...] = ()
    """Where in `raw` each record ends."""

    def pieces(self) -> Iterator[Piece]:
        """Records; blank lines between them are filler."""
        line, start = self.first, 0
        for end in self.ends:
            raw = self.raw[start:end]
            yield Piece(line, raw, "filler" if raw.isspace() else "record")
            line, start = line + raw.count(b"\n"), end

    def value(self, body: bytes) -> dict[str, Any]:
        """The record's cells under the names of the header; raises Malformed."""
        cells = cells_of(body, self.delimiter)
        if len(cells) != len(self.header):
            raise Malformed(
                "wrong-field-count", f"{len(cells)} cells, but the header names {len(self.header)}. Check its quoting."
            )
        row: dict[str, Any] = dict(zip(self.header, cells, strict=True))
        for name, cell in row.items():
            if name.lower() in _MAY_HOLD_JSON and cell.startswith(("[{", "{", "[[")):
                row[name] = json_value(cell.encode())
        return row


def cells_of(body: bytes, delimiter: str) -> list[str]:
    """The cells of one record. Raises Malformed."""
    text = text_of(body)
    if csv.field_size_limit() < MAX_ROW:
        csv.field_size_limit(MAX_ROW)
    try:
        records = list(csv.reader([text], delimiter=delimiter, strict=False))
    except csv.Error as error:
        raise Malformed("not-csv", f"{error}.") from None
    if _open_quote(body, delimiter):
        raise Malformed("unclosed-quote", f"a quote that is never closed takes in {body.count(10)} further lines.")
    return records[0] if records else []


def csv_chunks(stream: BinaryIO, place: Place, delimiter: str) -> Iterator[Chunk]:
    """Chunks of whole records, the header first as filler. Memory: one chunk, whatever the length of a record."""
    header: tuple[str, ...] | None = None
    line = next_line = 1
    ends: list[int] = []
    buffer, start, opened = bytearray(), 0, False

    def chunk(until: int) -> CsvChunk:
        return CsvChunk(
            place.file, line, bytes(buffer[:until]), place.consumed(), place.form, header or (), delimiter, tuple(ends)
        )

    while raw := stream.readline(MAX_ROW + 1):
        if header is None and not opened and raw.isspace():
            yield FillerChunk(place.file, next_line, raw, place.consumed())
            line = next_line = next_line + 1
            continue
        buffer += raw
        next_line += raw.endswith(b"\n")
        if b'"' in raw:
            opened = not _complete(delimiter).fullmatch(b'"' + raw if opened else raw)
        if len(buffer) - start > MAX_ROW:
            if start:
                yield chunk(start)
            line = next_line - bytes(buffer[start:]).count(b"\n")
            next_line += yield from _oversize(bytes(buffer[start:]), stream, place, line)
            line, buffer, ends, start, opened = next_line, bytearray(), [], 0, False
        elif not opened:
            if header is None:
                header = header_of(bytes(buffer), delimiter)
                yield FillerChunk(place.file, 1, bytes(buffer), place.consumed())
                line, buffer = next_line, bytearray()
                continue
            start = len(buffer)
            ends.append(start)
            if start >= CHUNK:
                yield chunk(start)
                line, buffer, ends, start = next_line, bytearray(), [], 0
    if buffer:
        if start < len(buffer):
            ends.append(len(buffer))
        yield chunk(len(buffer))


def header_of(raw: bytes, delimiter: str) -> tuple[str, ...]:
    """The names of the columns. Raises Malformed when there are none or one stands twice."""
    names = tuple(cell.strip() for cell in cells_of(raw.rstrip(b"\r\n"), delimiter))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Malformed("duplicate-key", f"the column {shown(twice)} stands twice in the header. Rename one.")
    return names


def _oversize(raw: bytes, stream: BinaryIO, place: Place, line: int) -> Generator[Chunk, None, int]:
    """Parts of a record above the limit, to a line end outside quotes (counted, no longer parsed)."""
    why = "" if raw.count(b"\n") < 2 else "A quote in its first line may never be closed."
    oversize, quotes, lines = Oversize(place, line, why=why), raw.count(b'"'), 0
    while not (raw.endswith(b"\n") and quotes % 2 == 0):
        following = stream.readline(CHUNK)
        yield oversize.part(raw, last=not following)
        if not following:
            return lines
        raw = following
        quotes += raw.count(b'"')
        lines += raw.endswith(b"\n")
    yield oversize.part(raw, last=True)
    return lines


@lru_cache(maxsize=8)
def _complete(delimiter: str) -> re.Pattern[bytes]:
    """A record whose quotes are all closed, by the rules of the csv module: a quote counts at a cell's start only."""
    d = re.escape(delimiter.encode())
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"(?!")[^%b]*+|[^"%b][^%b]*+|)' % (d, d, d)
    return re.compile(rb"%b(?:%b%b)*+" % (cell, d, cell))


def _open_quote(body: bytes, delimiter: str) -> bool:
    return b'"' in body and not _complete(delimiter).fullmatch(body)
