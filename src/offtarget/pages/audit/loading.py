"""A finished or unfinished audit, read from its folder into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from offtarget.errors import InputError
from offtarget.pages.check.loading import Loaded, optional, torn
from offtarget.records import (
    AuditDecision,
    BadRow,
    CueProfile,
    DatasetFinding,
    Finding,
    Label,
    Row,
    SuspectRows,
    Trigger,
)
from offtarget.records.audit import AuditManifest
from offtarget.records.from_json import from_json
from offtarget.rundir import RunDir, iterate_jsonl, read_json, read_manifest, read_object

T = TypeVar("T")

ROW_FILES = ("flagged.jsonl", "queue.jsonl")
"""Files with whole rows; other rows of the data are known by their findings' counts alone."""
ROWS_PER_FILE = 2000
FINDINGS_PER_ROW = 64
FIRST_MALFORMED = 3
"""Malformed rows of each kind that are kept."""


@dataclass(frozen=True)
class LoadedAudit(Loaded):
    """Everything the report shows of an audit."""

    manifest: AuditManifest
    decision: AuditDecision | None
    scan: Mapping[str, Any]
    """Contents of scan.json; empty before the scan has ended."""
    dataset: tuple[DatasetFinding, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    cues: CueProfile | None = None
    malformed: Mapping[str, int] = field(default_factory=dict)
    """Malformed rows per kind."""
    malformed_first: tuple[BadRow, ...] = ()
    """The first of each kind, in the order of the data."""
    rows: Mapping[str, Row] = field(default_factory=dict)
    """Rows kept whole, by id: flagged ones and the first of the random stream."""
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    """Findings on rows kept whole."""
    suspect_rows: Mapping[str, SuspectRows] = field(default_factory=dict)
    """Rows with and without a suspected condition, by the suspect's key."""
    labels: tuple[Label, ...] = ()
    """Current labels, planted controls included."""
    cleaned: Mapping[str, Any] = field(default_factory=dict)
    """Contents of cleaned.json: where the cleaned file and its ledger are; empty where nothing was cleaned."""
    problems: tuple[str, ...] = ()
    """What was odd about the files, one sentence each."""


def load_audit(path: Path) -> LoadedAudit:
    """Read the run directory of an audit; memory does not grow with the number of findings.

    Raises InputError, naming file and line, when the folder is no run or something else damaged a file.
    """
    path = Path(path).resolve()
    run, manifest = RunDir(path), read_manifest(path)
    if not isinstance(manifest, AuditManifest):
        raise InputError(f"{path} is a run of `{manifest.verb}`, not of `audit`.")
    result = _contents(run.file("result.json"))
    rows = {row.id: row for name in ROW_FILES for row in islice(iterate_jsonl(run.file(name), Row), ROWS_PER_FILE)}
    kinds, first = _malformed(iterate_jsonl(run.file("malformed.jsonl"), BadRow))
    return LoadedAudit(
        path=path,
        manifest=manifest,
        scan=_contents(run.file("scan.json")),
        result={key: value for key, value in result.items() if key != "decision"},
        decision=optional(
            run.file("result.json"),
            AuditDecision,
            "Delete that file and go on with `offtarget audit --resume`; findings and labels are kept.",
            key="decision",
        ),
        dataset=_listed(run.file("dataset.json"), DatasetFinding),
        triggers=_listed(run.file("triggers.json"), Trigger),
        cues=optional(run.file("cues.json"), CueProfile, "Run the audit again."),
        malformed=kinds,
        malformed_first=first,
        rows=rows,
        findings=_findings(iterate_jsonl(run.file("findings.jsonl"), Finding), rows),
        suspect_rows={rows.key: rows for rows in iterate_jsonl(run.file("suspects.jsonl"), SuspectRows)},
        labels=tuple(iterate_jsonl(run.file("labels.jsonl"), Label)),
        cleaned=_contents(run.file("cleaned.json")),
        problems=tuple(
            f"The file {name} ends in an incomplete line (an interrupted write); that line is left out."
            for name in (*ROW_FILES, "malformed.jsonl", "findings.jsonl", "suspects.jsonl", "labels.jsonl")
            if torn(run.file(name))
        ),
    )


def _contents(path: Path) -> dict[str, Any]:
    return read_object(path) if path.exists() else {}


def _listed(path: Path, record: type[T]) -> tuple[T, ...]:
    if not path.exists():
        return ()
    values = read_json(path)
    try:
        if not isinstance(values, list):
            raise ValueError("it is not a list")
        return tuple(from_json(record, value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} does not hold {record.__name__} records ({error}). Run the audit again.") from None


def _malformed(records: Iterator[BadRow]) -> tuple[Mapping[str, int], tuple[BadRow, ...]]:
    counts: Counter[str] = Counter()
    first = []
    for record in records:
        counts[record.error] += 1
        if counts[record.error] <= FIRST_MALFORMED:
            first.append(record)
    return dict(counts.most_common()), tuple(first)


def _findings(records: Iterator[Finding], rows: Mapping[str, Row]) -> Mapping[str, tuple[Finding, ...]]:
    found: dict[str, list[Finding]] = {}
    for record in records:
        if record.row_id in rows:
            kept = found.setdefault(record.row_id, [])
            if len(kept) < FINDINGS_PER_ROW:
                kept.append(record)
    return {row_id: tuple(kept) for row_id, kept in found.items()}
