"""The audit's result as JSON for machines; docs/schema/audit.schema.json is made from the records below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from offtarget.pages.audit import examples, facts, story, tables
from offtarget.pages.audit.card import next_step
from offtarget.pages.audit.examples import State
from offtarget.pages.audit.facts import SourceFile
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.audit.tables import Marks
from offtarget.pages.check import facts as run_facts
from offtarget.pages.check.reports.json import SCHEMA_VERSION, Version, exit_code, written
from offtarget.pages.registry import ReportFormat
from offtarget.records import AuditDecision, DatasetFinding, Share, Status, Trigger
from offtarget.records.audit import Detector


@dataclass(frozen=True, slots=True)
class Data:
    """What was read."""

    name: str
    source: tuple[str, ...]
    rows: int | None
    """null before the scan has ended."""
    known_rows: int
    """Rows that this scan did not look at again: an earlier audit had found in them what it would find now."""
    malformed: int
    malformed_kinds: Mapping[str, int]
    flagged_rows: int | None
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A row the page quotes; its text is not in this file."""

    category: str
    row_id: str
    state: State
    reviewers: tuple[str, ...]
    reasons: tuple[str, ...]
    disclosed: bool


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What `offtarget report RUN --json` writes for an audit.

    Shares are between 0 and 1; e-values are natural logarithms; null means no data, never 0. Version 1.x only ever
    adds fields.
    """

    schema_version: Version
    """Major.minor; a new major number means fields changed meaning or vanished."""
    run: str
    """Name of the run directory."""
    verb: Literal["audit"]
    created: str | None
    version: str | None
    finished: bool
    """Whether a decision was written."""
    status: Status | None
    exit_code: Literal[0, 1, 3] | None
    """0 PASS, 1 FAIL, 3 UNDECIDED; null while unfinished."""
    reason: str
    basis: Literal["people", "judge", "detectors", "none"] | None
    """Whose word the verdict rests on."""
    error_probability: Share | None
    """Bound on a wrong PASS or FAIL by labels; null where nothing is claimed, and for a FAIL by detectors, which has
    none."""
    next_step: str
    data: Data
    labelled_rows: int
    """Rows of the data with a label that says something; planted controls not counted."""
    labels: tuple[Marks, ...]
    """Labels by the reason a row was shown."""
    detectors: tuple[Detector, ...]
    dataset_findings: tuple[DatasetFinding, ...]
    triggers: tuple[Trigger, ...]
    examples: tuple[Example, ...]
    seed_commitment: str | None
    seed: str | None
    cleaned: Mapping[str, Any] | None
    """Where the cleaned file and its ledger are; null where nothing was cleaned."""
    decision: AuditDecision | None
    """null while unfinished."""
    notes: tuple[str, ...]
    not_tested: tuple[str, ...]


def as_record(run: LoadedAudit) -> AuditReport:
    """The report of an audit. It quotes no row."""
    status = Status(story.status(run)) if run.finished else None
    bounded = status in (Status.PASS, Status.FAIL) and run.decision is not None and run.decision.basis != "detectors"
    return AuditReport(
        schema_version=SCHEMA_VERSION,
        run=run.name,
        verb="audit",
        created=run_facts.created(run),
        version=run_facts.version(run),
        finished=run.finished,
        status=status,
        exit_code=exit_code(status),
        reason=story.reason(run),
        basis=run.decision.basis if run.decision else None,
        error_probability=facts.round_alpha(run) if bounded else None,
        next_step=next_step(run),
        data=Data(
            name=facts.data_name(run),
            source=run.manifest.source,
            rows=facts.rows(run),
            known_rows=facts.known(run),
            malformed=facts.malformed(run),
            malformed_kinds=dict(facts.malformed_kinds(run)),
            flagged_rows=facts.count(run.scan.get("flagged_rows")),
            files=tuple(facts.files(run)),
        ),
        labelled_rows=story.labelled(run),
        labels=tuple(tables.marks(run)),
        detectors=tuple(facts.detectors(run)),
        dataset_findings=run.dataset,
        triggers=run.triggers,
        examples=tuple(_examples(run)),
        seed_commitment=run.manifest.seed_commitment,
        seed=run.manifest.seed,
        cleaned=dict(run.cleaned) or None,
        decision=run.decision,
        notes=story.notes(run),
        not_tested=story.not_tested(run),
    )


def _examples(run: LoadedAudit) -> list[Example]:
    return [
        Example(
            category=group.category,
            row_id=example.row_id,
            state=example.state,
            reviewers=tuple(word.reviewer for word in example.words),
            reasons=tuple(finding.reason for finding in example.findings),
            disclosed=example.disclosed,
        )
        for group in examples.groups(run)
        for example in group.examples
    ]


def render(run: LoadedAudit) -> str:
    """The report as text."""
    return written(as_record(run))


FORMAT = ReportFormat("json", "report.json", "JSON for machines, with a published schema", render)
