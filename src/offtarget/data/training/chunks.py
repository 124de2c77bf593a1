"""Chunks: a few MiB of a data file, whole records only, that any process can turn into rows."""

from __future__ import annotations

import copy
import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, BinaryIO, Literal, NamedTuple, Self

from offtarget.data.training.forms import fields_of
from offtarget.data.training.values import MAX_ROW, Malformed, json_value, too_long
from offtarget.records import BadRow, Row

CHUNK = 2**20
"""Bytes read at a time."""

_RECORDS = ("record", "tail")


class Piece(NamedTuple):
    """Some bytes of a file; all pieces in order are the file (but for the commas of a JSON array)."""

    line: int
    """Where the record starts that it belongs to."""
    raw: bytes
    """Verbatim, with line end or surrounding blanks."""
    kind: Literal["record", "part", "tail", "filler"]
    """`part`: more of the record follows. `tail`: a malformed end of the file. `filler`: header, bracket, blanks."""


Unread = tuple[int, bytes, Callable[[], Row | BadRow]]
"""A record that nobody has parsed: the line where it starts, its bytes, and what reads it."""
_RECORDS_HELD = frozenset({"raw", "ends"})
_OF_ONE_CHUNK = frozenset({"file", "first", "consumed_bytes"}) | _RECORDS_HELD
"""Fields of a chunk that say where its records are, not how they are read."""


class Record(NamedTuple):
    """One record of a file: where it starts, its bytes, what it says."""

    line: int
    raw: bytes
    row: Row | BadRow


@dataclass(frozen=True, slots=True)
class Place:
    """What a splitter has to know besides the bytes."""

    file: str
    """Name as shown."""
    form: str | None
    """The form every row must have, None for any."""
    consumed: Callable[[], int]
    """Bytes of the source read from disk so far."""


@dataclass(slots=True)
class Chunk(ABC):
    """Some records in the order of the file. Picklable; holds bytes, no handle."""

    file: str
    first: int
    """Line (or number) of its first record."""
    raw: bytes
    consumed_bytes: int
    """Bytes on disk of the whole source up to the end of this chunk."""
    form: str | None = None

    @abstractmethod
    def pieces(self) -> Iterator[Piece]:
        """The bytes of the chunk, cut into records, unparsed."""

    def value(self, body: bytes) -> Any:
        """What the bytes of one record say; raises Malformed."""
        return json_value(body)

    def body(self, raw: bytes) -> bytes:
        """The record itself, which its sha256 speaks of: without the line end."""
        return body_of_line(raw)

    def records(self) -> Iterator[Record]:
        """Every record with its bytes."""
        for line, raw, kind in self.pieces():
            if kind in _RECORDS:
                yield Record(line, raw, self.read(line, self.body(raw)))

    def unread(self) -> Iterator[Unread]:
        """Every record, unparsed, with what gives the row that `rows` would; it does not keep the chunk alive."""
        bare = self.bare()
        for line, raw, kind in self.pieces():
            if kind in _RECORDS:
                body = self.body(raw)
                yield line, body, partial(bare.read, line, body)

    def bare(self) -> Self:
        """The same chunk without its records, by which single ones can be read."""
        bare = copy.copy(self)
        for field in fields(self):
            if field.name in _RECORDS_HELD:
                setattr(bare, field.name, type(getattr(self, field.name))())
        return bare

    def manner(self) -> str:
        """What besides the bytes of a record decides what it says: once all of `unread` are there, the same for all."""
        said = [getattr(self, field.name) for field in fields(self) if field.name not in _OF_ONE_CHUNK]
        return repr((type(self).__name__, *said))

    def rows(self) -> Iterator[Row | BadRow]:
        """Every record as a row, or as a bad row that says why it is none."""
        for line, raw, kind in self.pieces():
            if kind in _RECORDS:
                yield self.read(line, self.body(raw))

    def read(self, line: int, body: bytes) -> Row | BadRow:
        """One record as a row."""
        file = self.file
        digest = hashlib.sha256(body).hexdigest()
        try:
            said = fields_of(self.value(body), self.form)
        except Malformed as error:
            return BadRow(f"{file}:{line}", file, line, digest, error.error, error.detail)
        return Row(f"{file}:{line}", file, line, digest, *said)


@dataclass(slots=True)
class LineChunk(Chunk):
    """Whole lines, one JSON value each."""

    def pieces(self) -> Iterator[Piece]:
        """Lines; only a newline ends one, blank ones are filler."""
        for line, raw in enumerate(io.BytesIO(self.raw), self.first):
            yield Piece(line, raw, "filler" if raw.isspace() else "record")

    def rows(self) -> Iterator[Row | BadRow]:
        """The same rows as ever, without the pieces in between: this is the loop that large data sets run in."""
        read, body = self.read, self.body
        for line, raw in enumerate(io.BytesIO(self.raw), self.first):
            if not raw.isspace():
                yield read(line, body(raw))


@dataclass(slots=True)
class FillerChunk(Chunk):
    """Bytes of the file that are no record."""

    def pieces(self) -> Iterator[Piece]:
        """One piece."""
        yield Piece(self.first, self.raw, "filler")


@dataclass(slots=True)
class OversizeChunk(Chunk):
    """A part of a record above the limit of `MAX_ROW`; the last part carries the bad row."""

    bad: BadRow | None = None

    def pieces(self) -> Iterator[Piece]:
        """One piece."""
        yield Piece(self.first, self.raw, "record" if self.bad else "part")

    def read(self, line: int, body: bytes) -> BadRow:
        """The bad row of the whole record."""
        assert self.bad is not None
        return self.bad


class Oversize:
    """Collects what is known of a record too long to be held, while its parts go by."""

    def __init__(self, place: Place, line: int, *, blanks: bytes = b"", why: str = "") -> None:
        self._place, self._line, self._blanks, self._why = place, line, blanks, why
        self._digest, self._held, self._length = hashlib.sha256(), b"", 0

    def part(self, raw: bytes, *, last: bool = False) -> OversizeChunk:
        """One part as a chunk; the sha256 leaves out what `Chunk.body` leaves out."""
        text = self._held + raw
        if self._blanks:
            body = text.rstrip(self._blanks)
            self._digest.update(body if self._length else body.lstrip(self._blanks))
        else:
            body = body_of_line(text) if last else text.removesuffix(b"\r")
            self._digest.update(body)
        self._held = text[len(body) :]
        self._length += len(raw)
        bad = self._bad_row() if last else None
        return OversizeChunk(self._place.file, self._line, raw, self._place.consumed(), self._place.form, bad)

    def _bad_row(self) -> BadRow:
        file, line, error = self._place.file, self._line, too_long(self._length)
        return BadRow(
            f"{file}:{line}", file, line, self._digest.hexdigest(), error.error, f"{error.detail} {self._why}".strip()
        )


def body_of_line(raw: bytes) -> bytes:
    """A line without its end."""
    if raw.endswith(b"\n"):
        return raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    return raw


def line_chunks(stream: BinaryIO, place: Place) -> Iterator[Chunk]:
    """Chunks of whole lines. Memory: one chunk, whatever the length of a line."""
    line, carry = 1, b""
    while block := stream.read(CHUNK):
        end = block.rfind(b"\n") + 1
        if end:
            chunk = LineChunk(place.file, line, carry + block[:end], place.consumed(), place.form)
            line, carry = line + chunk.raw.count(b"\n"), block[end:]
            yield chunk
        else:
            carry += block
            if len(carry) > MAX_ROW:
                carry = yield from _oversize(carry, stream, line, place)
                line += 1
    if carry:
        yield LineChunk(place.file, line, carry, place.consumed(), place.form)


def _oversize(start: bytes, stream: BinaryIO, line: int, place: Place) -> Generator[Chunk, None, bytes]:
    """Parts of one line up to its end; the bytes after it are returned."""
    oversize, block = Oversize(place, line), start
    while (end := block.find(b"\n") + 1) == 0:
        following = stream.read(CHUNK)
        yield oversize.part(block, last=not following)
        if not following:
            return b""
        block = following
    yield oversize.part(block[:end], last=True)
    return block[end:]
