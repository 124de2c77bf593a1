"""Shards: consecutive chunks that are scanned as one, wherever that is, and what their scan found.

A shard knows nothing of others. What was found in all of them, put together in the order of the data, is what one
process finds: all that is kept of rows is counts, lists in their order, or the first so many by a hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from offtarget.data.training import Chunk
from offtarget.detect.chunk_scan import ChunkScan, ChunkScanner, Gathered
from offtarget.detect.scan import REVIEWABLE, Bounds

MOST_CHUNKS = 8
"""Chunks of a shard, of a few MiB or less: some seconds of work, which is what a worker that is lost had done."""
SHARDS = 64
"""A small data set is cut into as many shards as this, or into single chunks."""
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class ShardScan:
    """What was found in one shard."""

    found: ChunkScan
    gathered: Gathered


def chunks_each(total_bytes: int | None) -> int:
    """Chunks of a shard, by the size of the data alone: a run that goes on cuts them as the one before."""
    if total_bytes is None:
        return MOST_CHUNKS
    return min(MOST_CHUNKS, max(1, total_bytes // (_CHUNK_BYTES * SHARDS)))


def shards(chunks: Iterable[Chunk], each: int) -> Iterator[tuple[Chunk, ...]]:
    """So many chunks at a time."""
    left = iter(chunks)
    while shard := tuple(islice(left, each)):
        yield shard


def scan_shard(
    scanner: ChunkScanner,
    shard: tuple[Chunk, ...],
    bounds: Bounds,
    gathered: Gathered | None,
    tell: Callable[[float, int], None],
) -> ShardScan:
    """Scan its chunks; `tell` takes the share that is done and how many rows these were.

    `gathered` is `Gathered.further` of what others have found so far; None where nobody has.
    """
    scanner.gathered = gathered or Gathered(detectors=scanner.gathered.detectors)
    first, *others = shard
    found = scanner.scan(first, bounds.queue, bounds.flagged)
    for done, chunk in enumerate(others, start=1):
        tell(done / len(shard), found.counts.rows)
        found.merge(scanner.scan(chunk, bounds.queue, bounds.flagged))
    for rows in (found.queue, found.flagged):
        rows.sort(key=lambda keyed: keyed[0])
        del rows[REVIEWABLE:]
    return ShardScan(found, scanner.collect())
