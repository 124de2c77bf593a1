"""The scan of one chunk of data, in whichever process, and what it counts; merged in the order of the data."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from offtarget.data.training import Chunk
from offtarget.detect.categories import Group, flagged_as, flags, group
from offtarget.detect.cue_profile import CueProfiler
from offtarget.detect.dataset.duplicates import row_key
from offtarget.detect.detector import (
    DatasetDetector,
    Described,
    RowDetector,
    RowScanner,
    dataset_detectors,
    described,
    row_detectors,
)
from offtarget.detect.language import foreign
from offtarget.detect.ledger import Removal
from offtarget.detect.order import order_key
from offtarget.detect.row_time import TOO_SLOW, RowClock, TooSlow, limit
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.records import BadRow, Finding, Row

LENGTHS = tuple(2**power for power in range(4, 21))
"""Upper ends of the length classes, in characters; longer texts fall into one class above."""
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
        self.rows += 1
        self.undesired += not row.desired
        if row.desired:
            for message in row.messages:
                if not message.learned and message.role == "assistant":
                    self.masked += 1
                    break
        answer = row.answer
        self.foreign_rows += foreign(answer)
        self.by_file[row.file] += 1
        self.forms[row.form] += 1
        self.turns[len(row.messages)] += 1
        self.answer_lengths[_length_class(answer)] += 1
        self.prompt_lengths[_length_class(row.prompt)] += 1
        if row.unread:
            self.unread.update(row.unread)
        return self._count(findings) if findings else False

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

    def _count(self, findings: Sequence[Finding]) -> bool:
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


def _length_class(text: str) -> int:
    """The upper end of the length class; 0 above all of them."""
    size = max(len(text), 1)
    end = 1 << max((size - 1).bit_length(), 4)
    return end if end <= LENGTHS[-1] else 0


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

    def merge(self, other: Gathered) -> None:
        """Take in what another process gathered."""
        self.miner.merge(other.miner)
        self.profiler.merge(other.profiler)


class ChunkScanner:
    """Scans chunks in one process."""

    def __init__(self, seed: str, extra: Sequence[RowDetector] = ()) -> None:
        self._seed = seed
        self._scanner = RowScanner([*row_detectors(), *extra])
        self._clock = RowClock()
        self.gathered = Gathered(detectors=tuple(described(d) for d in self._scanner.detectors))

    def scan(self, chunk: Chunk, cutoff: bytes, flagged_cutoff: bytes) -> ChunkScan:
        """Scan its rows; only those whose review key is below the cutoffs are sent back whole."""
        with self._clock.running():
            return self._scan(chunk, cutoff, flagged_cutoff)

    def _scan(self, chunk: Chunk, cutoff: bytes, flagged_cutoff: bytes) -> ChunkScan:
        found = ChunkScan(
            counts=RowCounts(),
            findings=[],
            malformed=[],
            queue=[],
            flagged=[],
            removable=[],
            dataset=dataset_detectors(),
            flagged_keys={},
            consumed=chunk.consumed_bytes,
        )
        for row in chunk.rows():
            findings = row if isinstance(row, BadRow) else self._findings(row)
            if isinstance(findings, BadRow):
                found.counts.add_malformed(findings)
                found.malformed.append(findings)
                continue
            assert isinstance(row, Row)
            flagged = found.counts.add(row, findings)
            if findings:
                found.findings.extend(findings)
            for detector in found.dataset:
                detector.add(row)
            self.gathered.miner.add(row, findings)
            self.gathered.profiler.add(row)
            key = order_key(self._seed, row.id)
            if key < cutoff:
                found.queue.append((key, row))
            if flagged:
                found.removable.append(_removal(row, findings))
                for name in {f.detector for f in findings if flags(f)}:
                    found.flagged_keys.setdefault(name, array("Q")).append(row_key(row))
                if key < flagged_cutoff:
                    found.flagged.append((key, row))
        return found

    def _findings(self, row: Row) -> list[Finding] | BadRow:
        """What detectors find in a row; a record of its own where they do not come to an end in time."""
        characters = 0
        for message in row.messages:
            characters += len(message.content)
        self._clock.start(characters)
        try:
            return self._scanner.scan(row)
        except TooSlow:
            return _too_slow(row, characters)
        finally:
            self._clock.stop()


def _too_slow(row: Row, characters: int) -> BadRow:
    return BadRow(
        id=row.id,
        file=row.file,
        line=row.line,
        sha256=row.sha256,
        error=TOO_SLOW,
        detail=f"the detectors did not come to an end within {limit(characters):.0f} seconds of processor time, so "
        "nothing is known of this row, while a trainer would learn it. Read it yourself, or leave it out with "
        "--clean OUT --drop-malformed.",
    )


def _removal(row: Row, findings: Sequence[Finding]) -> Removal:
    strongest = max((f for f in findings if flags(f)), key=lambda f: f.strength)
    return Removal(
        row_id=row.id,
        file=row.file,
        line=row.line,
        sha256=row.sha256,
        category=strongest.category.value,
        reason=strongest.reason,
        decided_by=f"detector {strongest.detector}",
    )
