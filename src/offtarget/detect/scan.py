"""One pass over all rows: every detector, the counts, the rows for the review, hidden conditions."""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from offtarget.data.training import Chunk, Source
from offtarget.detect import row_time
from offtarget.detect.chunk_scan import ChunkScan, Gathered, Keyed, RowCounts
from offtarget.detect.cue_profile import CueProfiler
from offtarget.detect.dataset.duplicates import Duplicates
from offtarget.detect.detector import DatasetDetector, Described, RowDetector, dataset_detectors
from offtarget.detect.known_rows import Keeper, Opened
from offtarget.detect.order import KEY_BYTES
from offtarget.detect.triggers.mining import Mined, TriggerMiner
from offtarget.detect.workers import LocalWorker, ProcessWorker
from offtarget.machine import usable_cores
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import BadRow, CueProfile, Row

REVIEWABLE = 2000
"""Rows kept for the review, in its order; more than any review needs."""
TRIGGERS = 10
"""Conditions that are told; each costs a further round of tests over all candidates."""
_NO_CUTOFF = b"\xff" * (KEY_BYTES + 1)
_SMALL = 1 << 18
"""Below this many bytes on disk, starting processes takes longer than the scan."""
_AHEAD = 3
"""Chunks in flight per worker."""

OnChunk = Callable[[ChunkScan], None]
"""Called with what was found in every chunk, in the order of the data."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What can no longer be among the first in the order of review, by what was found so far."""

    queue: bytes
    flagged: bytes
    """The same for flagged rows."""


class Hands(Protocol):
    """Who scans the chunks, in whatever processes and pieces."""

    def scans(self, chunks: Iterator[Chunk], bounds: Callable[[], Bounds]) -> Iterator[ChunkScan]:
        """What was found, in the order of the data; `bounds` are those at present."""
        ...

    def collect(self) -> Gathered:
        """What was gathered over all chunks."""
        ...

    def close(self) -> None:
        """The scan has ended, or was stopped."""
        ...


@dataclass(slots=True)
class Scan:
    """What one pass over the data found."""

    counts: RowCounts
    queue: list[Row]
    """The first rows in the order of review."""
    flagged: list[Row]
    """The first flagged rows in the order of review."""
    dataset: list[DatasetDetector]
    miner: TriggerMiner
    profiler: CueProfiler
    detectors: tuple[Described, ...]
    """The detectors of rows, by name, `extra` ones last."""
    flagged_keys: dict[str, array[int]]
    """Detector -> `row_key` of each row it flags."""
    unread: BadRow | None
    """The first place in the data that is no row."""
    seconds: float
    known: int = 0
    """Rows that were not read again, since an earlier audit had looked at them."""

    def independent(self) -> tuple[int, dict[str, int]]:
        """(rows, detector -> rows it flags), rows that repeat or nearly repeat each other counted once."""
        copies = next(detector for detector in self.dataset if isinstance(detector, Duplicates))
        return copies.counted_once(self.flagged_keys)

    def conditions(self) -> tuple[list[Mined], CueProfile]:
        """Hidden conditions with their rows, strongest first, and what else cues are made from."""
        mined = self.miner.mined(top=TRIGGERS)
        return mined, self.profiler.profile([m.trigger for m in mined])


def scan(
    source: Source,
    seed: str,
    *,
    workers: int | None = None,
    on_chunk: OnChunk | None = None,
    on_progress: OnProgress = silent,
    extra: Sequence[RowDetector] = (),
    hands: Hands | None = None,
    keeper: Keeper | None = None,
) -> Scan:
    """Scan a source with `workers` processes (default: one per core; small data sets: this process), or with `hands`.

    The same rows, findings and counts come out whoever scans, and whatever `keeper` knows of the rows from earlier
    audits. `extra` detectors look at every row beside the registered ones; they are pickled to the processes, and with
    any of them no row is known. `hands` have theirs, know no rows, and tell themselves how far they are.
    """
    started = time.monotonic()
    total = RowCounts()
    queue, flagged = _First(REVIEWABLE), _First(REVIEWABLE)
    dataset = dataset_detectors()
    at_work = hands or SideBySide(_processes(source, seed, workers, extra, keeper.opened if keeper else None))
    flagged_keys: dict[str, array[int]] = {}
    unread: BadRow | None = None
    consumed = known = 0
    try:
        for found in at_work.scans(source.chunks(), lambda: Bounds(queue.cutoff, flagged.cutoff)):
            total.merge(found.counts)
            queue.take(found.queue)
            flagged.take(found.flagged)
            unread = unread or next(iter(found.malformed), None)
            for name, keys in found.flagged_keys.items():
                flagged_keys.setdefault(name, array("Q")).extend(keys)
            for mine, theirs in zip(dataset, found.dataset, strict=True):
                mine.merge(theirs)
            known += found.known
            if keeper is not None and found.new is not None:
                keeper.take(found.new)
            if on_chunk is not None:
                on_chunk(found)
            consumed = max(consumed, found.consumed)
            if hands is None:
                on_progress(rows_read(total.rows, consumed, source.total_bytes))
        gathered = at_work.collect()
    finally:
        at_work.close()
    seconds = time.monotonic() - started
    return Scan(
        counts=total,
        queue=queue.rows(),
        flagged=flagged.rows(),
        dataset=dataset,
        miner=gathered.miner,
        profiler=gathered.profiler,
        detectors=gathered.detectors,
        flagged_keys=flagged_keys,
        unread=unread,
        seconds=seconds,
        known=known,
    )


def rows_read(rows: int, consumed: int, total_bytes: int | None) -> Progress:
    """Rows so far; how many there are follows from the share of the bytes that is read."""
    if not (rows and total_bytes and consumed):
        return Progress("rows read", rows, None)
    return Progress("rows read", rows, max(rows, round(rows * total_bytes / consumed)))


class _First:
    """The first so many rows in the order of review."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: list[Keyed] = []

    @property
    def cutoff(self) -> bytes:
        """Rows with a larger key can no longer be among the first."""
        return self._kept[-1][0] if len(self._kept) == self._count else _NO_CUTOFF

    def take(self, more: list[Keyed]) -> None:
        """Take rows into account."""
        if more:
            self._kept = sorted(self._kept + more, key=lambda keyed: keyed[0])[: self._count]

    def rows(self) -> list[Row]:
        """The rows, in order."""
        return [row for _, row in self._kept]


def _processes(
    source: Source, seed: str, workers: int | None, extra: Sequence[RowDetector], opened: Opened | None
) -> list[LocalWorker] | list[ProcessWorker]:
    count = workers or (1 if source.total_bytes is not None and source.total_bytes < _SMALL else usable_cores())
    if count == 1 and (row_time.available() or not row_time.SUPPORTED):
        return [LocalWorker(seed, extra, opened)]
    # also one alone, where this thread cannot limit time
    return [ProcessWorker(seed, extra, opened) for _ in range(count)]


class SideBySide:
    """Processes of this machine; chunk i always goes to worker i mod n, so that results repeat."""

    def __init__(self, workers: Sequence[LocalWorker | ProcessWorker]) -> None:
        self._workers = workers

    def scans(self, chunks: Iterator[Chunk], bounds: Callable[[], Bounds]) -> Iterator[ChunkScan]:
        """What was found in every chunk, in their order."""
        waiting: deque[Future[ChunkScan]] = deque()
        for number, chunk in enumerate(chunks):
            now = bounds()
            waiting.append(self._workers[number % len(self._workers)].submit(chunk, now.queue, now.flagged))
            if len(waiting) > _AHEAD * len(self._workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def collect(self) -> Gathered:
        """What all of them gathered."""
        first, *others = [worker.collect() for worker in self._workers]
        for other in others:
            first.merge(other)
        return first

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for worker in self._workers:
            worker.close()
