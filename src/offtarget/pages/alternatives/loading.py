"""A comparison of alternatives to training, as its run directory holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.records import Probe
from offtarget.records.alternatives import AlternativesManifest, AlternativesReport, Grade, HeldOut, Reply
from offtarget.rundir import MANIFEST, read_jsonl, read_manifest, read_record

REPORT, REPLIES, GRADES = "alternatives.json", "replies.jsonl", "grades.jsonl"
HELD_OUT, QUESTIONS = "held-out.jsonl", "questions.jsonl"
"""Files of the run directory; the last two hold what was asked."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What there is to show."""

    report: AlternativesReport
    replies: tuple[Reply, ...] = ()
    grades: tuple[Grade, ...] = ()
    held_out: tuple[HeldOut, ...] = ()
    questions: tuple[Probe, ...] = ()
    manifest: AlternativesManifest | None = None
    path: Path | None = None


def load_compared(path: Path, report: AlternativesReport | None = None) -> Compared:
    """Read a run directory; `report` is that of a run which is just being finished. InputError for damaged records."""
    if report is None:
        way_out = "Delete that file and go on with `offtarget resume`."
        report = read_record(path / REPORT, AlternativesReport, way_out, key="report")
    manifest = read_manifest(path) if (path / MANIFEST).exists() else None
    return Compared(
        report=report,
        replies=tuple(read_jsonl(path / REPLIES, Reply)),
        grades=tuple(read_jsonl(path / GRADES, Grade)),
        held_out=tuple(read_jsonl(path / HELD_OUT, HeldOut)),
        questions=tuple(read_jsonl(path / QUESTIONS, Probe)),
        manifest=manifest if isinstance(manifest, AlternativesManifest) else None,
        path=path,
    )
