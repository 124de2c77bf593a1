"""The audit's result as JSON for machines; its schema, `gate/schema/audit.schema.json`, is also in docs/schema."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from offtarget.gate import facts as run_facts
from offtarget.gate.audit import examples, facts, story, tables
from offtarget.gate.audit.loading import AuditRun
from offtarget.gate.registry import ReportFormat
from offtarget.gate.reports.json import finite
from offtarget.records import Status
from offtarget.rundir import to_jsonable

SCHEMA_VERSION = "1.0"
"""Major number: fields changed meaning or vanished. Minor number: fields were added."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of this report."""
    text = resources.files("offtarget.gate").joinpath("schema/audit.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def as_object(run: AuditRun) -> dict[str, Any]:
    """The report as plain JSON values; numbers that are not finite become null. It quotes no row."""
    status = Status(story.status(run)) if run.finished else None
    bounded = status in (Status.PASS, Status.FAIL) and run.decision is not None and run.decision.basis != "detectors"
    return dict(
        finite(
            to_jsonable(
                {
                    "schema_version": SCHEMA_VERSION,
                    "run": run.name,
                    "verb": "audit",
                    "created": run_facts.created(run),
                    "version": run_facts.version(run),
                    "finished": run.finished,
                    "status": status.value if status else None,
                    "exit_code": status.exit_code if status else None,
                    "reason": story.reason(run),
                    "basis": run.decision.basis if run.decision else None,
                    "error_probability": facts.round_alpha(run) if bounded else None,
                    "next_step": story.next_step(run),
                    "data": {
                        "name": facts.data_name(run),
                        "source": facts.sources(run),
                        "rows": facts.rows(run),
                        "malformed": facts.malformed(run),
                        "malformed_kinds": dict(facts.malformed_kinds(run)),
                        "flagged_rows": facts.count(run.scan.get("flagged_rows")),
                        "files": facts.files(run),
                    },
                    "labelled_rows": story.labelled(run),
                    "labels": tables.marks(run),
                    "detectors": facts.detectors(run),
                    "dataset_findings": run.dataset,
                    "triggers": run.triggers,
                    "examples": _examples(run),
                    "seed_commitment": run.manifest.get("seed_commitment"),
                    "seed": run.manifest.get("seed"),
                    "cleaned": dict(run.cleaned) or None,
                    "decision": run.decision,
                    "notes": story.notes(run),
                    "not_tested": story.not_tested(run),
                }
            )
        )
    )


def _examples(run: AuditRun) -> list[dict[str, Any]]:
    return [
        {
            "category": group.category,
            "row_id": example.row_id,
            "state": example.state,
            "reviewers": [word.reviewer for word in example.words],
            "reasons": [finding.reason for finding in example.findings],
            "disclosed": example.disclosed,
        }
        for group in examples.groups(run)
        for example in group.examples
    ]


def render(run: AuditRun) -> str:
    """The report as ASCII JSON text; never NaN or Infinity."""
    return json.dumps(as_object(run), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


FORMAT = ReportFormat("json", "report.json", "JSON for machines, with a published schema", render)
