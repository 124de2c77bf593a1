"""One JSON array as a stream of its elements, each with its own bytes; the whole is never in memory."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from offtarget.data.training.chunks import CHUNK, Chunk, FillerChunk, Oversize, Piece, Place
from offtarget.data.training.values import MAX_ROW
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

    def pieces(self) -> Iterator[Piece]:
        """One piece."""
        yield Piece(self.first, self.raw, "filler" if self.closed and not self.raw.strip(_BLANK) else "tail")

    def read(self, line: int, body: bytes) -> BadRow:
        """The bad row: only malformed tails are records."""
        what = "there is more text after the array's end." if self.closed else "the array is not closed: cut off?"
        digest = hashlib.sha256(body).hexdigest()
        return BadRow(f"{self.file}:{line}", self.file, line, digest, "not-json", what)


def array_chunks(stream: BinaryIO, place: Place) -> Iterator[Chunk]:
    """Chunks of whole elements, between filler for the opening and the closing bracket.

    Looks for commas outside strings and brackets, so a malformed element spoils itself only, unless it leaves a
    bracket or a quote open. Memory: one chunk, whatever the length of an element.
    """
    buffer = stream.read(CHUNK)
    start = at = buffer.index(b"[") + 1
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
    yield TailChunk(place.file, number, buffer[start:], place.consumed(), place.form, closed)
    while block := stream.read(CHUNK):
        yield FillerChunk(place.file, number, block, place.consumed())


def _chunk(place: Place, number: int, elements: list[bytes]) -> ArrayChunk:
    """Elements up to and without `number`."""
    ends = tuple(itertools.accumulate(map(len, elements)))
    first = number - len(elements)
    return ArrayChunk(place.file, first, b"".join(elements), place.consumed(), place.form, ends)
