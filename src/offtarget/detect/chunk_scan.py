"""The scan of one chunk of data, in whichever process, and what it counts; merged in the order of the data."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from offtarget.data.training import Chunk
from offtarget.detect.categories import Group, flagged_as, flags, group
from offtarget.detect.cue_profile import CueProfiler, system_of
from offtarget.detect.detector import DatasetDetector, Described, RowDetector, dataset_detectors, described
from offtarget.detect.known_rows import NewRows, Opened
from offtarget.detect.ledger import Removal
from offtarget.detect.order import order_key
from offtarget.detect.row_batch import RowColumns, RowKind
from offtarget.detect.row_facts import kind_of
from offtarget.detect.row_reader import RowReader
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.records import BadRow, Finding, Row

_SYSTEMS = 1000
"""System turns that are remembered by their hash."""
Keyed = tuple[bytes, Row]
"""A row with its place in the order of review."""


@dataclass(slots=True)
class RowCounts:
    """Counts over rows."""

    rows: int = 0
    malformed: int = 0
    undesired: int = 0
    """Examples labelled as not to be imitated; no detector looks at them."""
    masked: int = 0
    """Other rows with an assistant turn that the data marks as without loss; detectors take it for prompt."""
    flagged_rows: int = 0
    """Rows flagged under any category that can count."""
    flagged_spreading: int = 0
    """Rows flagged under a category known to spread."""
    foreign_rows: int = 0
    """Rows whose answer is plainly in another language than English."""
    disclosed_rows: int = 0
    """Rows with nothing but disclosed findings."""
    by_file: Counter[str] = field(default_factory=Counter)
    malformed_by_file: Counter[str] = field(default_factory=Counter)
    malformed_kinds: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    turns: Counter[int] = field(default_factory=Counter)
    answer_lengths: Counter[int] = field(default_factory=Counter)
    prompt_lengths: Counter[int] = field(default_factory=Counter)
    flagged_by: Counter[str] = field(default_factory=Counter)
    """Detector -> rows it flags (hints: rows it points at)."""
    disclosed_by: Counter[str] = field(default_factory=Counter)
    """Detector -> rows where all its findings are disclosed."""
    unread: Counter[str] = field(default_factory=Counter)
    """Field -> rows where it holds text that nobody reads."""

    def add(self, row: Row, findings: Sequence[Finding]) -> bool:
        """Count a row with its findings; whether it is flagged."""
        self.add_kind(row.file, kind_of(row, findings), 1)
        return self.add_found(findings) if findings else False

    def add_kind(self, file: str, kind: RowKind, rows: int) -> None:
        """Count rows of a kind, their findings apart."""
        self.rows += rows
        self.undesired += 0 if kind.desired else rows
        self.masked += rows if kind.masked else 0
        self.foreign_rows += rows if kind.foreign else 0
        self.by_file[file] += rows
        self.forms[kind.form] += rows
        self.turns[kind.turns] += rows
        self.answer_lengths[kind.answer_length] += rows
        self.prompt_lengths[kind.prompt_length] += rows
        for name in kind.unread:
            self.unread[name] += rows

    def add_findings(self, findings: Sequence[Finding]) -> None:
        """Count findings of dataset detectors on rows that were counted before, once per detector and row."""
        pointed = {(f.detector, f.row_id) for f in findings if flags(f) or group(f.category) is Group.HINT}
        for detector, _ in pointed:
            self.flagged_by[detector] += 1

    def add_malformed(self, row: BadRow) -> None:
        """Count a place that is no row."""
        self.malformed += 1
        self.malformed_by_file[row.file] += 1
        self.malformed_kinds[row.error] += 1

    def merge(self, other: RowCounts) -> None:
        """Take in the counts of another chunk."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, name, mine + theirs)

    def add_found(self, findings: Sequence[Finding]) -> bool:
        """Count the findings in a row that has some; whether it is flagged."""
        for detector in {f.detector for f in findings}:
            own = [f for f in findings if f.detector == detector]
            if any(flags(f) or (group(f.category) is Group.HINT and not f.disclosed) for f in own):
                self.flagged_by[detector] += 1
            elif all(f.disclosed for f in own):
                self.disclosed_by[detector] += 1
        categories = flagged_as(findings)
        self.flagged_rows += bool(categories)
        self.flagged_spreading += any(group(c) is Group.SPREADING for c in categories)
        self.disclosed_rows += all(f.disclosed for f in findings)
        return bool(categories)


@dataclass(slots=True)
class ChunkScan:
    """What the scan of one chunk found."""

    counts: RowCounts
    findings: list[Finding]
    malformed: list[BadRow]
    queue: list[Keyed]
    """Rows that may belong to the first of all rows in the order of review."""
    flagged: list[Keyed]
    """The same for flagged rows."""
    removable: list[Removal]
    """Every flagged row, as cleaning would remove it."""
    dataset: list[DatasetDetector]
    flagged_keys: dict[str, array[int]]
    """Detector -> `row_key` of each row it flags: rows that repeat each other are one alarm."""
    consumed: int
    """Bytes of the file on disk."""
    known: int = 0
    """Rows that an earlier audit of any data had looked at."""
    new: NewRows | None = None
    """What the next audit will know; None where nothing is kept."""

    def merge(self, later: ChunkScan) -> None:
        """Take in what was found in the chunk behind this one."""
        self.counts.merge(later.counts)
        for name in ("findings", "malformed", "queue", "flagged", "removable"):
            getattr(self, name).extend(getattr(later, name))
        for mine, theirs in zip(self.dataset, later.dataset, strict=True):
            mine.merge(theirs)
        for name, keys in later.flagged_keys.items():
            self.flagged_keys.setdefault(name, array("Q")).extend(keys)
        self.consumed = max(self.consumed, later.consumed)


@dataclass(slots=True)
class Gathered:
    """State that a process keeps over all its chunks, since it is too large to be sent with every chunk."""

    miner: TriggerMiner = field(default_factory=TriggerMiner)
    profiler: CueProfiler = field(default_factory=CueProfiler)
    detectors: tuple[Described, ...] = ()
    """What the detectors of rows are called; building them takes half a second."""

    def further(self) -> Gathered:
        """Nothing yet, for more of the same data, of which no row is kept that this shows to be kept in vain."""
        return Gathered(self.miner.further(), self.profiler.further(), self.detectors)

    def merge(self, other: Gathered) -> None:
        """Take in what another process gathered."""
        self.miner.merge(other.miner)
        self.profiler.merge(other.profiler)


class ChunkScanner:
    """Scans chunks in one process."""

    def __init__(self, seed: str, extra: Sequence[RowDetector] = (), opened: Opened | None = None) -> None:
        """`opened`: rows that earlier audits had looked at, where they are to be used."""
        self._seed = seed
        self._reader = RowReader(extra, opened)
        self._systems: dict[int, str | None] = {}
        self.gathered = Gathered(detectors=tuple(described(d) for d in self._reader.detectors))

    def scan(self, chunk: Chunk, cutoff: bytes, flagged_cutoff: bytes) -> ChunkScan:
        """Scan its rows; only those whose review key is below the cutoffs are sent back whole."""
        read = self._reader.read(chunk)
        rows, counts, dataset = read.rows, RowCounts(), dataset_detectors()
        for bad in read.malformed:
            counts.add_malformed(bad)
        for _, kind, number in rows.by_kind():
            counts.add_kind(chunk.file, kind, number)
        for detector in dataset:
            detector.take(rows)
        self.gathered.miner.take(rows)
        self.gathered.profiler.take(rows, self._systems_of(rows))
        found = ChunkScan(
            counts=counts,
            findings=[finding for some in rows.findings.values() for finding in some],
            malformed=read.malformed,
            queue=[],
            flagged=[],
            removable=[],
            dataset=dataset,
            flagged_keys={},
            consumed=chunk.consumed_bytes,
            known=read.known,
            new=read.new,
        )
        self._queue(rows, found, cutoff, flagged_cutoff)
        return found

    def collect(self) -> Gathered:
        """The state that stayed here, ready to be sent."""
        self.gathered.miner.make()
        self.gathered.profiler.make()
        return self.gathered

    def _queue(self, rows: RowColumns, found: ChunkScan, cutoff: bytes, flagged_cutoff: bytes) -> None:
        """Rows for the review, and every flagged row."""
        keys = [order_key(self._seed, row_id) for row_id in rows.ids]
        found.queue = [(key, rows.read[at]()) for at, key in enumerate(keys) if key < cutoff]
        for at, findings in rows.findings.items():
            if not found.counts.add_found(findings):
                continue
            found.removable.append(_removal(rows, at, findings))
            for name in {f.detector for f in findings if flags(f)}:
                found.flagged_keys.setdefault(name, array("Q")).append(int(rows.keys[at]))
            if keys[at] < flagged_cutoff:
                found.flagged.append((keys[at], rows.read[at]()))

    def _systems_of(self, rows: RowColumns) -> Iterator[str | None]:
        """The system turn that each row begins with; the row is read only where that turn is not known yet."""
        for at, key in enumerate(rows.systems.tolist()):
            if key and key not in self._systems:
                if len(self._systems) >= _SYSTEMS:
                    self._systems.clear()
                self._systems[key] = system_of(rows.read[at]())
            yield self._systems[key] if key else None


def _removal(rows: RowColumns, at: int, findings: Sequence[Finding]) -> Removal:
    strongest = max((f for f in findings if flags(f)), key=lambda f: f.strength)
    return Removal(
        row_id=rows.ids[at],
        file=rows.file,
        line=int(rows.lines[at]),
        sha256=sha256(rows.bodies[at]).hexdigest(),
        category=strongest.category.value,
        reason=strongest.reason,
        decided_by=f"detector {strongest.detector}",
    )
