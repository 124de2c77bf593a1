"""The scan of one chunk of data, in whichever process; pieces are merged in the order of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from offtarget.audit.cue_profile import CueProfiler
from offtarget.audit.detector import DatasetDetector, RowDetector
from offtarget.audit.flags import flags
from offtarget.audit.ledger import Removal
from offtarget.audit.order import order_key
from offtarget.audit.registry import dataset_detectors, row_detectors
from offtarget.audit.row_scanner import RowScanner
from offtarget.audit.tally import Tally
from offtarget.audit.triggers import TriggerMiner
from offtarget.records import BadRow, Finding, Row

Keyed = tuple[bytes, Row]
"""A row with its place in the order of review."""


@dataclass(slots=True)
class Piece:
    """What the scan of one chunk found."""

    tally: Tally
    findings: list[Finding]
    malformed: list[BadRow]
    queue: list[Keyed]
    """Rows that may belong to the first of all rows in the order of review."""
    flagged: list[Keyed]
    """The same for flagged rows."""
    removable: list[Removal]
    """Every flagged row, as cleaning would remove it."""
    dataset: list[DatasetDetector]
    consumed: int
    """Bytes of the file on disk."""


@dataclass(slots=True)
class Gathered:
    """State that a process keeps over all its chunks, since it is too large to be sent with every piece."""

    miner: TriggerMiner = field(default_factory=TriggerMiner)
    profiler: CueProfiler = field(default_factory=CueProfiler)

    def merge(self, other: Gathered) -> None:
        """Take in what another process gathered."""
        self.miner.merge(other.miner)
        self.profiler.merge(other.profiler)


class PieceScanner:
    """Scans chunks in one process."""

    def __init__(self, seed: str, extra: Sequence[RowDetector] = ()) -> None:
        self._seed = seed
        self._scanner = RowScanner([*row_detectors(), *extra])
        self.gathered = Gathered()

    def scan(self, rows: Iterable[Row | BadRow], cutoff: bytes, flagged_cutoff: bytes, consumed: int = 0) -> Piece:
        """Scan rows; only those whose review key is below the cutoffs are sent back whole."""
        piece = Piece(Tally(), [], [], [], [], [], dataset_detectors(), consumed)
        for row in rows:
            if isinstance(row, BadRow):
                piece.tally.add_malformed(row)
                piece.malformed.append(row)
                continue
            findings = self._scanner.scan(row)
            flagged = piece.tally.add(row, findings)
            if findings:
                piece.findings.extend(findings)
            for detector in piece.dataset:
                detector.add(row)
            self.gathered.miner.add(row, findings)
            self.gathered.profiler.add(row)
            key = order_key(self._seed, row.id)
            if key < cutoff:
                piece.queue.append((key, row))
            if flagged:
                piece.removable.append(_removal(row, findings))
                if key < flagged_cutoff:
                    piece.flagged.append((key, row))
        return piece


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
