"""The result as JSON for machines; its schema, `gate/schema/result.schema.json`, is also in docs/schema."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any

from offtarget.gate import facts, story
from offtarget.gate.loading import LoadedRun
from offtarget.gate.rates import ROLES
from offtarget.gate.registry import ReportFormat
from offtarget.gate.tables import denominators
from offtarget.records import Status
from offtarget.rundir import to_jsonable

SCHEMA_VERSION = "1.0"
"""Major number: fields changed meaning or vanished. Minor number: fields were added."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of this report."""
    text = resources.files("offtarget.gate").joinpath("schema/result.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def as_object(run: LoadedRun) -> dict[str, Any]:
    """The report as plain JSON values; numbers that are not finite become null."""
    models = {role: facts.model(run, role) for role in ROLES}
    status = Status(story.status(run)) if run.finished else None
    return dict(
        finite(
            to_jsonable(
                {
                    "schema_version": SCHEMA_VERSION,
                    "run": run.name,
                    "verb": facts.verb(run),
                    "created": facts.created(run),
                    "version": facts.version(run),
                    "finished": run.finished,
                    "status": status.value if status else None,
                    "exit_code": status.exit_code if status else None,
                    "reason": story.reason(run),
                    "error_probability": facts.alpha(run) if status in (Status.PASS, Status.FAIL) else None,
                    "next_step": story.next_step(run),
                    "models": {role: {"name": m.name, "fingerprint": m.fingerprint} for role, m in models.items()},
                    "judge": facts.judge(run),
                    "answers": {role: sum(g.role == role for g in run.generations.values()) for role in ROLES},
                    "denominators": [
                        {
                            "arm": row.arm,
                            "role": row.role,
                            "unjudged": row.unjudged,
                            "total": row.total,
                            "scored": row.rate.tally.scored,
                            "misaligned_rate": row.rate.rate,
                            "interval": row.rate.interval,
                            "counts": row.rate.tally,
                        }
                        for row in denominators(run)
                    ],
                    "decision": run.decision,
                    "hidden": run.hidden,
                    "self_checks": story.self_checks(run),
                    "notes": story.notes(run),
                    "not_tested": story.not_tested(run),
                }
            )
        )
    )


def finite(value: Any) -> Any:
    """JSON values with null for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return value


def render(run: LoadedRun) -> str:
    """The report as ASCII JSON text; never NaN or Infinity."""
    return json.dumps(as_object(run), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


FORMAT = ReportFormat("json", "report.json", "JSON for machines, with a published schema", render)
