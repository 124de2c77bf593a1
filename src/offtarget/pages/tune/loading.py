"""A training under watch, as its run directory holds it; also of one that is under way, or of a trainer elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.records.tune import Reading, TuneManifest, TuneReport, WatchedAnswer, WatchFacts
from offtarget.rundir import MANIFEST, read_jsonl, read_manifest, read_record

FACTS, READINGS, WATCHED, REPORT = "watch.json", "readings.jsonl", "watched.jsonl", "tune.json"
"""Files of the run directory."""


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """What there is to show."""

    facts: WatchFacts | None = None
    """None where nobody watches, and before the first reading."""
    readings: tuple[Reading, ...] = ()
    watched: tuple[WatchedAnswer, ...] = ()
    report: TuneReport | None = None
    """None while it goes on, and of a trainer elsewhere."""
    manifest: TuneManifest | None = None
    """None of a trainer elsewhere."""
    path: Path | None = None

    @property
    def raised(self) -> Reading | None:
        """The reading that raised the alarm."""
        return next((reading for reading in self.readings if reading.alarm), None)

    @property
    def finished(self) -> bool:
        """Whether training has ended."""
        return self.report is not None or (self.facts is not None and self.facts.finished)


def load_watched(path: Path, report: TuneReport | None = None) -> WatchedRun:
    """Read a run directory; `report` is that of a run which is just being finished. InputError for damaged records."""
    done = path / REPORT
    if report is None and done.exists():
        report = read_record(done, TuneReport, "Restore it, or run again.", key="report")
    manifest = read_manifest(path) if (path / MANIFEST).exists() else None
    return WatchedRun(
        facts=read_record(path / FACTS, WatchFacts) if (path / FACTS).exists() else None,
        readings=tuple(read_jsonl(path / READINGS, Reading)),
        watched=tuple(read_jsonl(path / WATCHED, WatchedAnswer)),
        report=report,
        manifest=manifest if isinstance(manifest, TuneManifest) else None,
        path=path,
    )
