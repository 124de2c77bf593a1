"""The scan of an audit in shards, which workers of a cluster do, and which are kept while it lasts.

Whoever reads the data cuts it into shards and leaves each in the folder of the run, sealed; a worker reads it there
and leaves what it found beside it. So only that folder must be shared, nobody but the reader needs the data, a shard
that is done twice is done once, and a run that goes on cuts the same shards and takes what was found in them.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from offtarget.data.training import Chunk, Source
from offtarget.detect.chunk_scan import ChunkScan, ChunkScanner, Gathered
from offtarget.detect.detector import RowDetector
from offtarget.detect.scan import Bounds
from offtarget.detect.shards import ShardScan, chunks_each, scan_shard, shards
from offtarget.engines import sealed
from offtarget.engines.on_ray import Cluster
from offtarget.engines.units import Ended, Tell
from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.progress import OnProgress, Progress
from offtarget.register import state_root
from offtarget.rundir import make_folder
from offtarget.version import __version__
from offtarget.workflows import clusters
from offtarget.workflows.runs.begin import kept

PACKAGES = ("numpy", "ahocorasick-rs", "bandit", "pyarrow")
"""Packages that findings depend on."""
SHARDS = ".shards"
"""Folder of a run that holds its shards until the scan is complete."""
MEGABYTE = 10**6
PATIENCE = 60.0
"""Seconds in which a file that was written on another machine must be seen here."""
_KEY = "shards.key"
_DETECTORS = "detectors"


class Spread:
    """Hands of a scan: the workers of a cluster, or without one this process."""

    def __init__(
        self,
        run: Path,
        source: Source,
        seed: str,
        cluster: Cluster[Any] | None,
        extra: Sequence[RowDetector],
        on_progress: OnProgress,
    ) -> None:
        """Raises InputError where the shards cannot be kept."""
        self._folder = (run / SHARDS).absolute()
        self._source, self._seed, self._cluster, self._on_progress = source, seed, cluster, on_progress
        self._key = sealed.key_in(state_root() / _KEY)
        make_folder(self._folder)
        detectors = sealed.pickled((seed, tuple(extra)))
        sealed.write(self._folder / _DETECTORS, detectors, self._key)
        self._made_by = hashlib.sha256(f"{__version__}".encode() + detectors).digest()
        self._before = {file.stem for file in self._folder.glob("*.out")}
        if self._before:
            on_progress(Progress(f"{many(len(self._before), 'part')} of the data scanned before, which are kept"))
        self._gathered: Gathered | None = None
        self._far = _Far(source.total_bytes)

    def scans(self, chunks: Iterator[Chunk], bounds: Callable[[], Bounds]) -> Iterator[ChunkScan]:
        """What was found in every shard, in their order. Raises InputError where the workers for one were all lost."""
        waiting, done = deque[str](), set[str]()
        work = partial(_scan, str(self._folder), self._key)
        units = self._units(chunks, bounds, waiting, done)
        for one in self._ended(work, units):
            (self._folder / f"{one.unit}.in").unlink(missing_ok=True)
            if one.lost is not None:
                raise InputError(
                    f"{self._far.place(one.unit)}: {one.lost} That happened to all workers that tried to read this "
                    f"part of the data, so there is no verdict. {kept(self._folder.parent)}"
                )
            if one.error is not None:
                raise one.error
            done.add(one.unit)
            self._told(one.unit, 1.0, "")
            while waiting and waiting[0] in done:
                yield self._taken(waiting.popleft())
        while waiting:
            yield self._taken(waiting.popleft())

    def collect(self) -> Gathered:
        """What was gathered over all of them."""
        return self._gathered or Gathered()

    def close(self) -> None:
        """What is on disk is kept: the scan may have been stopped."""

    def _units(
        self, chunks: Iterator[Chunk], bounds: Callable[[], Bounds], waiting: deque[str], done: set[str]
    ) -> Iterator[str]:
        """The shards that are still to be scanned, each left in its file as it is asked for."""
        for number, shard in enumerate(shards(chunks, chunks_each(self._source.total_bytes))):
            content = sealed.pickled(shard)
            name = f"{number:06}-{hashlib.sha256(self._made_by + content).hexdigest()[:32]}"
            waiting.append(name)
            self._far.begun(name, shard)
            if name in self._before and sealed.is_whole(self._folder / f"{name}.out", self._key):
                done.add(name)
                self._told(name, 1.0, "")
                continue
            further = None if self._gathered is None else self._gathered.further()
            sealed.write(self._folder / f"{name}.in", sealed.pickled((shard, bounds(), further)), self._key)
            yield name

    def _ended(self, work: Callable[[str, Tell], int], units: Iterator[str]) -> Iterator[Ended[int]]:
        if self._cluster is None:
            for unit in units:
                yield Ended(unit, value=work(unit, partial(self._told, unit)))
            return
        yield from self._cluster.run(
            work,
            units,
            notes=self._folder.parent,
            environment=clusters.environment(),
            on_progress=self._told,
        )

    def _told(self, unit: str, share: float, said: str) -> None:
        if not share:  # no worker says so, but that one was lost
            self._on_progress(Progress(f"{self._far.place(unit)}: {said}"))
        self._on_progress(self._far.at(unit, share))

    def _taken(self, name: str) -> ChunkScan:
        """What was found in one, with all that was gathered put together."""
        file, until = self._folder / f"{name}.out", time.monotonic() + PATIENCE
        while not isinstance(scanned := sealed.read(file, self._key), ShardScan):
            if time.monotonic() > until:
                raise InputError(
                    f"{file} is not there, or was changed by something else. Is that folder the same on all machines "
                    f"of the cluster? {kept(self._folder.parent)}"
                )
            time.sleep(0.2)
        if self._gathered is None:
            self._gathered = scanned.gathered
        else:
            self._gathered.merge(scanned.gathered)
        return scanned.found


class _Far:
    """How far all shards are together, by their bytes on disk."""

    def __init__(self, total: int | None) -> None:
        self._total, self._read, self._done = total, 0, 0.0
        self._sizes: dict[str, int] = {}
        self._shares: dict[str, float] = {}
        self._places: dict[str, str] = {}

    def begun(self, name: str, shard: tuple[Chunk, ...]) -> None:
        """The next one in the order of the data."""
        self._sizes[name] = max(0, shard[-1].consumed_bytes - self._read)
        self._read = max(self._read, shard[-1].consumed_bytes)
        self._places[name] = f"{shard[0].file}, from line {shard[0].first:,}"

    def at(self, name: str, share: float) -> Progress:
        """So much of one is done."""
        self._done += self._sizes[name] * (share - self._shares.get(name, 0.0))
        self._shares[name] = share
        total = None if self._total is None else max(1, round(self._total / MEGABYTE))
        return Progress("megabytes read", round(self._done / MEGABYTE), total)

    def place(self, name: str) -> str:
        """Where one begins."""
        return self._places[name]


def kept_detectors(run: Path) -> tuple[RowDetector, ...] | None:
    """Detectors of the caller that a scan was begun with; None where they are not to be had on this machine."""
    found = sealed.read(run / SHARDS / _DETECTORS, sealed.key_in(state_root() / _KEY))
    return None if found is None else found[1]


def forget_shards(run: Path) -> None:
    """The scan is complete."""
    shutil.rmtree(run / SHARDS, ignore_errors=True)


def _scan(folder: str, key: bytes, name: str, tell: Tell) -> int:
    """In a worker: one shard, from its file to that of what was found in it; how many rows it has."""
    given = sealed.read(Path(folder) / f"{name}.in", key)
    if given is None:
        raise InputError(f"{folder}/{name}.in cannot be read. Is that folder the same on all machines of the cluster?")
    shard, bounds, further = given

    def told(share: float, rows: int) -> None:
        tell(share, many(rows, "row"))

    scanned = scan_shard(_scanner(folder, key), shard, bounds, further, told)
    sealed.write(Path(folder) / f"{name}.out", sealed.pickled(scanned), key)
    return scanned.found.counts.rows


@lru_cache(1)
def _scanner(folder: str, key: bytes) -> ChunkScanner:
    """Kept from shard to shard of one scan: building the detectors takes half a second."""
    detectors = sealed.read(Path(folder) / _DETECTORS, key)
    if detectors is None:
        raise InputError(
            f"{folder}/{_DETECTORS} cannot be read. Is that folder the same on all machines of the cluster?"
        )
    return ChunkScanner(*detectors)
