"""JSONL: a stream of lines as chunks."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import BinaryIO

from offtarget.data.training.chunks import CHUNK, Chunk, LineChunk, Oversize, Place
from offtarget.data.training.malformed import MAX_ROW


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
