"""A bundle of evidence on a rollout, as its run directory holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records.serve import FlaggedAnswer, PathPoint, ServeEvidence, ServeManifest
from offtarget.rundir import read_jsonl, read_manifest, read_record

EVIDENCE, PATH, FLAGGED = "serve.json", "path.jsonl", "flagged.jsonl"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What there is to show."""

    manifest: ServeManifest
    found: ServeEvidence
    path: tuple[PathPoint, ...]
    flagged: tuple[FlaggedAnswer, ...]
    """Flagged answers of the tuned model, each before that of the base beside it, then those of the base."""
    place: Path

    @property
    def pairs(self) -> list[tuple[FlaggedAnswer, FlaggedAnswer | None]]:
        """Flagged answers, each with what the base said to the question most like its own."""
        beside = {one.beside: one for one in self.flagged if one.beside}
        return [(one, beside.get(one.number)) for one in self.flagged if not one.beside and one.arm == "tuned"]


def load_bundle(path: Path) -> Bundle:
    """Read a run directory. Raises InputError for damaged records."""
    manifest = read_manifest(path)
    if not isinstance(manifest, ServeManifest):
        raise InputError(f"{path} is a run of `{manifest.verb}`, not of `serve`.")
    return Bundle(
        manifest,
        read_record(path / EVIDENCE, ServeEvidence, "Have it written again.", key="evidence"),
        tuple(read_jsonl(path / PATH, PathPoint)),
        tuple(read_jsonl(path / FLAGGED, FlaggedAnswer)),
        path,
    )
