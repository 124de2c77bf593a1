"""One JSON array as a stream of its elements, each with its own bytes; the whole is never in memory."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from offtarget.data.training.chunks import CHUNK, Chunk, FillerChunk, Oversize, Piece, Place
from offtarget.data.training.forms import grouping
from offtarget.data.training.sniffing import holds_rows
from offtarget.data.training.values import MAX_ROW, Malformed, json_value, shown
from offtarget.records import BadRow

_BLANK = b" \t\r\n"
_QUOTE, _CLOSING = b'"]'
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_INSIDE = re.compile(rb'(?:[^"\[\]{}]++|%b)*+' % _STRING, re.DOTALL)
_BETWEEN = re.compile(rb'(?:[^"\[\]{},]++|%b)*+' % _STRING, re.DOTALL)
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+(")?', re.DOTALL)


@dataclass(slots=True)
class ArrayChunk(Chunk):
    """Whole elements, each with the blanks around it, the commas between them left out."""

    ends: tuple[int, ...] = ()

    def pieces(self) -> Iterator[Piece]:
        """Elements by their number, from 1."""
        start = 0
        for number, end in enumerate(self.ends, self.first):
            yield Piece(number, self.raw[start:end], "record")
            start = end

    def body(self, raw: bytes) -> bytes:
        """The element without the blanks around it."""
        return raw.strip(_BLANK)


@dataclass(slots=True)
class TailChunk(Chunk):
    """What follows the closing bracket, or the lack of one: a malformed record unless it is blank."""

    closed: bool = True
    opened: bytes = b""
    """Where the array stands in an object: what comes before its first element."""

    def pieces(self) -> Iterator[Piece]:
        """One piece."""
        yield Piece(self.first, self.raw, "tail" if self._fault() else "filler")

    def read(self, line: int, body: bytes) -> BadRow:
        """The bad row: only malformed tails are records."""
        digest = hashlib.sha256(body).hexdigest()
        return BadRow(f"{self.file}:{line}", self.file, line, digest, "not-json", self._fault())

    def _fault(self) -> str:
        """What is wrong with the end of the file; empty text for nothing."""
        if not self.closed:
            return "the array is not closed: cut off?"
        if not self.opened:
            return "there is more text after the array's end." if self.raw.strip(_BLANK) else ""
        try:
            beside = json_value(self.opened + b"]" + self.raw)
        except Malformed as error:
            return f"what stands around the array is no JSON: {error.detail}"
        other = next((name for name, held in beside.items() if holds_rows(name, held)), None)
        if other is None:
            return ""
        return f"the file holds more rows under {shown(other)}, which are not read. Give each list a file of its own."


def array_chunks(stream: BinaryIO, place: Place, opening: int = 0) -> Iterator[Chunk]:
    """Chunks of whole elements, between filler for the opening and the closing bracket.

    Looks for commas outside strings and brackets, so a malformed element spoils itself only, unless it leaves a
    bracket or a quote open. Memory: one chunk, whatever the length of an element. `opening`: of an array that stands in
    an object, the bytes up to its first element.
    """
    buffer = stream.read(CHUNK)
    start = at = opening or buffer.index(b"[") + 1
    opened = buffer[:opening]
    yield FillerChunk(place.file, 1, buffer[:start], place.consumed())
    number, depth, in_string, closed = 1, 0, False, False
    elements: list[bytes] = []
    oversize: Oversize | None = None
    closing = b"]"
    while True:
        if in_string:
            rest = _STRING_REST.match(buffer, at)
            assert rest is not None
            at, in_string = rest.end(), rest[1] is None
        while not in_string and not closed:
            skipped = (_INSIDE if depth else _BETWEEN).match(buffer, at)
            assert skipped is not None
            if (end := skipped.end()) == len(buffer):
                at = end
                break
            sign, at = buffer[end], end + 1
            if sign == _QUOTE:  # a string that goes on in the next block
                rest = _STRING_REST.match(buffer, at)
                assert rest is not None
                at, in_string = rest.end(), True
            elif sign in b"[{":
                depth += 1
            elif depth:
                depth -= 1
            elif sign in b",]":
                element, start, closed = buffer[start:end], at, sign == _CLOSING
                if oversize is not None:
                    yield oversize.part(element, last=True)
                    oversize = None
                elif not closed or number > 1 or element.strip(_BLANK):
                    elements.append(element)
                else:
                    closing = element + closing  # an empty array
                number += 1
        if elements:
            yield _chunk(place, number, elements)
            elements = []
        if closed:
            break
        buffer, at, start = buffer[start:], at - start, 0
        if oversize is not None or len(buffer) > MAX_ROW:
            oversize = oversize or Oversize(place, number, blanks=_BLANK)
            yield oversize.part(buffer[:at])
            buffer, at = buffer[at:], 0
        block = stream.read(CHUNK)
        if not block:
            break
        buffer += block
    if closed:
        yield FillerChunk(place.file, number, closing, place.consumed())
    elif oversize is not None:
        yield oversize.part(buffer, last=True)
        buffer = b""
    elif number > 1 or buffer.strip(_BLANK):
        number += 1
        yield _chunk(place, number, [buffer])
        buffer = b""
    tail = buffer[start:] + (stream.read(MAX_ROW) if closed and opened else b"")
    yield TailChunk(place.file, number, tail, place.consumed(), place.form, closed, opened)
    while block := stream.read(CHUNK):
        yield FillerChunk(place.file, number, block, place.consumed())


@dataclass(slots=True)
class ChatChunk(Chunk):
    """A file that is one list of turns: one chat."""

    def pieces(self) -> Iterator[Piece]:
        """One record."""
        yield Piece(1, self.raw, "record")

    def body(self, raw: bytes) -> bytes:
        """The list without the blanks around it."""
        return raw.strip(_BLANK)

    def value(self, body: bytes) -> Any:
        """The turns; raises Malformed where they are those of several chats."""
        turns = Chunk.value(self, body)
        said = [turn for turn in turns if isinstance(turn, dict)]
        of = sorted({key for turn in said for key in turn if grouping(key)})
        several = [key for key in of if len({str(turn.get(key)) for turn in said}) > 1]
        systems = sum(turn.get("role", turn.get("from")) == "system" for turn in said)
        if several or systems > 1:
            why = f"{shown(several[0])} differs from turn to turn" if several else f"{systems} turns are the system's"
            raise Malformed(
                "several-chats",
                f"the file is one list of {len(turns):,} turns, but of several chats: {why}. Make each chat a list or "
                'a row of its own, {"messages": [...]}.',
            )
        return turns


def chat_chunks(stream: BinaryIO, place: Place) -> Iterator[Chunk]:
    """The whole file as one record; in parts where it is longer than a row may be."""
    raw = stream.read(MAX_ROW + 1)
    if len(raw) <= MAX_ROW:
        yield ChatChunk(place.file, 1, raw, place.consumed(), place.form)
        return
    oversize = Oversize(place, 1, blanks=_BLANK, why="The file is one list of turns; make each chat a list of its own.")
    while following := stream.read(CHUNK):
        yield oversize.part(raw)
        raw = following
    yield oversize.part(raw, last=True)


def _chunk(place: Place, number: int, elements: list[bytes]) -> ArrayChunk:
    """Elements up to and without `number`."""
    ends = tuple(itertools.accumulate(map(len, elements)))
    first = number - len(elements)
    return ArrayChunk(place.file, first, b"".join(elements), place.consumed(), place.form, ends)
