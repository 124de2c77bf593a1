"""From the records of a chunk to what the scan keeps of its rows: known from an earlier audit, or found now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from offtarget.data.training import Chunk
from offtarget.data.training.chunks import Unread
from offtarget.detect.dataset.duplicates import NEAR_LINES, Signature, row_signature
from offtarget.detect.detector import RowDetector, RowScanner, row_detectors
from offtarget.detect.known_rows import Gatherer, KnownRows, NewRows, Opened, Positions
from offtarget.detect.row_batch import Numbers, Numeric, RowColumns, RowFacts, RowKind
from offtarget.detect.row_facts import facts_of
from offtarget.detect.row_keys import Keys
from offtarget.detect.row_time import TOO_SLOW, RowClock, TooSlow, limit
from offtarget.detect.triggers.sampling import keys_of
from offtarget.records import BadRow, Finding, Row

HELD_BACK = 4000
"""Bytes of a known row from which on it is read as soon as it might be needed, so that waiting rows take no memory."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A row that was read and looked at now."""

    row: Row
    facts: RowFacts
    signature: Signature | None


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """The rows of one chunk, and what is no row."""

    rows: RowColumns
    malformed: list[BadRow]
    known: int
    """Rows that were neither read nor looked at, since an earlier audit had."""
    new: NewRows | None
    """What the next audit will know; None where nothing is kept."""


class RowReader:
    """Reads chunks in one process."""

    def __init__(self, extra: Sequence[RowDetector] = (), opened: Opened | None = None) -> None:
        """`opened`: rows of earlier audits, which no `extra` detector has looked at: with any, none is known."""
        self._scanner = RowScanner([*row_detectors(), *extra])
        self._clock = RowClock()
        self._known = None if opened is None or extra else KnownRows(opened)
        self._numbers = {kind: number for number, kind in enumerate(self._known.kinds)} if self._known else {}

    @property
    def detectors(self) -> tuple[RowDetector, ...]:
        """Those of rows, by name, `extra` ones last."""
        return self._scanner.detectors

    def read(self, chunk: Chunk) -> ReadChunk:
        """All rows of a chunk."""
        records = list(chunk.unread())
        if self._known is None:
            at, hashes = np.full(len(records), -1, np.int64), None
        else:
            hashes = self._known.hashes(chunk, records)
            at = self._known.find(hashes)
            early = np.array([line <= NEAR_LINES for line, _, _ in records], np.bool_)
            met = np.flatnonzero((at >= 0) & early)
            at[met[~self._known.has_signature(at[met])]] = -1  # it stood further down before
        looked: dict[int, Looked] = {}
        malformed: dict[int, BadRow] = {}
        with self._clock.running():
            for number in np.flatnonzero(at < 0).tolist():
                line, _, read = records[number]
                found = self._look(read, line)
                if isinstance(found, BadRow):
                    malformed[number] = found
                else:
                    looked[number] = found
        rows = self._columns(chunk, records, at, looked)
        met = at[at >= 0]
        new = None if hashes is None else _new(records, looked, hashes, met)
        return ReadChunk(rows, list(malformed.values()), len(met), new)

    def _look(self, read: Callable[[], Row | BadRow], line: int) -> Looked | BadRow:
        """One row with what is found in it; a bad row where it is none, or where detectors do not end in time."""
        row = read()
        findings = row if isinstance(row, BadRow) else self._findings(row)
        if isinstance(findings, BadRow):
            return findings
        assert isinstance(row, Row)
        return Looked(row, facts_of(row, findings), row_signature(row) if line <= NEAR_LINES else None)

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

    def _columns(self, chunk: Chunk, records: list[Unread], at: Positions, looked: dict[int, Looked]) -> RowColumns:
        """Known rows and those looked at, in their order."""
        numbers = sorted([*np.flatnonzero(at >= 0).tolist(), *looked])
        at = at[np.array(numbers, np.int64)]
        records = [records[number] for number in numbers]
        now = {place: looked[number] for place, number in enumerate(numbers) if number in looked}
        ids = [f"{chunk.file}:{line}" for line, _, _ in records]
        kinds, kind = self._kinds(at, now)
        findings, numeric = self._found(at, now, ids)
        return RowColumns(
            file=chunk.file,
            lines=np.array([line for line, _, _ in records], np.uint32),
            ids=ids,
            bodies=[body for _, body, _ in records],
            hashes=keys_of(ids),
            read=[
                partial(_given, now[place].row) if place in now else cast(Callable[[], Row], read)
                for place, (_, _, read) in enumerate(records)
            ],
            at_once=(at < 0) | (np.array([len(body) for _, body, _ in records], np.int64) > HELD_BACK),
            kinds=kinds,
            kind=kind,
            keys=self._column("key", np.uint64, at, now),
            prompts=self._column("prompt", np.uint64, at, now),
            systems=self._column("system", np.uint64, at, now),
            stances=self._column("stance", np.uint32, at, now),
            weights=self._column("weight", np.uint32, at, now),
            findings=findings,
            numeric=numeric,
            signatures=self._signatures(at, now, records),
        )

    def _column(self, name: str, kind: type[np.generic], at: Positions, now: dict[int, Looked]) -> npt.NDArray[Any]:
        """One of the numbers of all rows."""
        whole = np.zeros(len(at), kind)
        if self._known is not None and len(now) < len(at):
            whole[at >= 0] = self._known.column(name, at[at >= 0])
        whole[list(now)] = np.array([getattr(looked.facts, name) for looked in now.values()], kind)
        return whole

    def _kinds(self, at: Positions, now: dict[int, Looked]) -> tuple[list[RowKind], Numbers]:
        """Kinds of rows, and the number of each row's."""
        kinds = list(self._numbers)
        others: dict[RowKind, int] = {}
        whole = np.zeros(len(at), np.uint32)
        if self._known is not None and len(now) < len(at):
            whole[at >= 0] = self._known.column("kind", at[at >= 0])
        for place, looked in now.items():
            kind = looked.facts.kind
            number = self._numbers.get(kind)
            whole[place] = others.setdefault(kind, len(kinds) + len(others)) if number is None else number
        return [*kinds, *others], whole

    def _found(
        self, at: Positions, now: dict[int, Looked], ids: Sequence[str]
    ) -> tuple[dict[int, tuple[Finding, ...]], dict[int, Numeric]]:
        """Findings and numbers by the place of the row."""
        findings: dict[int, tuple[Finding, ...]] = {}
        numeric: dict[int, Numeric] = {}
        met = np.flatnonzero(at >= 0)
        if self._known is not None and len(met):
            met = met[self._known.column("more", at[met]) > 0]
        for place in sorted([*met.tolist(), *now]):
            if place in now:
                some, numbers = now[place].facts.findings, now[place].facts.numeric
            else:
                assert self._known is not None
                some, numbers = self._known.findings(int(at[place]), ids[place])
            if some:
                findings[place] = some
            if numbers is not None:
                numeric[place] = numbers
        return findings, numeric

    def _signatures(self, at: Positions, now: dict[int, Looked], records: Sequence[Unread]) -> dict[int, Signature]:
        """Signatures of early rows by the place of the row."""
        found: dict[int, Signature] = {}
        for place, (line, _, _) in enumerate(records):
            if line > NEAR_LINES:
                continue
            if place in now:
                signature = now[place].signature
            else:
                assert self._known is not None
                signature = self._known.signature(int(at[place]))
            if signature is not None:
                found[place] = signature
        return found


def _new(records: Sequence[Unread], looked: dict[int, Looked], hashes: Keys, met: Positions) -> NewRows:
    """What the next audit will know of the rows that were looked at."""
    gatherer = Gatherer(len(looked))
    for number, one in looked.items():
        high, low = hashes[number].tolist()
        gatherer.add((high, low), one.row, one.facts, one.signature, records[number][0] <= NEAR_LINES)
    return gatherer.done(met)


def _given(row: Row) -> Row:
    return row


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
