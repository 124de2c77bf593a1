"""Which manifest a `run.json` holds: one kind for each verb that leaves a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offtarget.records.alternatives import AlternativesManifest
from offtarget.records.audit import AuditManifest
from offtarget.records.benchmarks import SamplesManifest
from offtarget.records.candidates import CandidatesManifest
from offtarget.records.check import CheckManifest
from offtarget.records.compare import CompareManifest
from offtarget.records.direction import SteerManifest
from offtarget.records.redteam import RedTeamManifest
from offtarget.records.repair import RepairManifest
from offtarget.records.reproduce import ReproduceManifest
from offtarget.records.runs import Manifest
from offtarget.records.serve import ServeManifest
from offtarget.records.tune import DefencesManifest, TuneManifest

_KINDS: dict[tuple[object, object], type[Manifest]] = {
    ("alternatives", None): AlternativesManifest,
    ("audit", None): AuditManifest,
    ("benchmarks", None): SamplesManifest,
    ("candidates", None): CandidatesManifest,
    ("check", None): CheckManifest,
    ("compare", None): CompareManifest,
    ("defences", None): DefencesManifest,
    ("redteam", None): RedTeamManifest,
    ("repair", None): RepairManifest,
    ("reproduce", None): ReproduceManifest,
    ("serve", None): ServeManifest,
    ("steer", None): SteerManifest,
    ("tune", None): TuneManifest,
    ("tune", "compare-defences"): DefencesManifest,  # as it was called before it was a verb
}


def manifest_kind(value: Mapping[str, Any]) -> type[Manifest] | None:
    """The record for the contents of a `run.json`; None for a verb that this version does not know."""
    name = value.get("verb"), value.get("what")
    return _KINDS.get(name) if all(isinstance(part, str | None) for part in name) else None
