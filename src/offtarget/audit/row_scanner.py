"""All row detectors over one row: their cues are sought in one pass, and only the called ones look closer."""

from __future__ import annotations

from collections.abc import Sequence

from ahocorasick_rs import AhoCorasick

from offtarget.audit.detector import RowDetector
from offtarget.records import Finding, Row


class RowScanner:
    """Runs row detectors over rows; built once per process."""

    def __init__(self, detectors: Sequence[RowDetector]) -> None:
        self.detectors = tuple(detectors)
        self._always = 0
        calls: dict[str, int] = {}
        for number, detector in enumerate(self.detectors):
            if detector.cues is None:
                self._always |= 1 << number
            for cue in detector.cues or ():
                calls[cue.lower()] = calls.get(cue.lower(), 0) | 1 << number
        self._calls = list(calls.values())
        self._cues = AhoCorasick(list(calls)) if calls else None

    def scan(self, row: Row) -> list[Finding]:
        """Findings of all detectors in one row, by detector; none in an example that is not to be imitated."""
        if not row.desired:
            return []
        called = self._always | self._called(row)
        findings: list[Finding] = []
        number = 0
        while called:
            if called & 1:
                findings.extend(self.detectors[number].find(row))
            called >>= 1
            number += 1
        return findings

    def _called(self, row: Row) -> int:
        if self._cues is None:
            return 0
        # A space before every message lets cues that begin with one match at its start.
        text = " " + "\n ".join([message.content for message in row.messages]).lower()
        called = 0
        for number, _, _ in self._cues.find_matches_as_indexes(text, overlapping=True):
            called |= self._calls[number]
        return called
