"""The result as JSON for machines; its schema, docs/schema/result.schema.json, is made from the records below."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from offtarget.asking.spending import spent_in
from offtarget.pages.check import facts, story, thresholds
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.check.tables import ROLES, Denominator, denominators
from offtarget.pages.registry import ReportFormat
from offtarget.records import Decision, HiddenDecision, Role, Share, Status
from offtarget.records.benchmarks import BenchmarkFamily
from offtarget.records.compare import ThresholdCell
from offtarget.records.runs import NamedModel
from offtarget.records.spent import Spent
from offtarget.rundir import to_jsonable

Version = Annotated[str, ("pattern", r"^1\.[0-9]+$")]
SCHEMA_VERSION: Version = "1.1"
"""Major number: fields changed meaning or vanished. Minor number: fields were added."""


@dataclass(frozen=True, slots=True)
class Models:
    """The two models."""

    base: NamedModel
    tuned: NamedModel


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers on record."""

    base: int
    tuned: int


@dataclass(frozen=True, slots=True)
class Report:
    """What `offtarget report RUN --json` writes.

    Shares are between 0 and 1; e-values are natural logarithms; null means no data, never 0. Version 1.x only ever
    adds fields.
    """

    schema_version: Version
    """Major.minor; a new major number means fields changed meaning or vanished."""
    run: str
    """Name of the run directory."""
    verb: str
    """check or compare."""
    created: str | None
    """When the verdict was written, else when the run began."""
    version: str | None
    """offtarget version that made the run."""
    finished: bool
    """Whether there is a verdict."""
    status: Status | None
    """null while unfinished."""
    grade: str | None
    """The status with what it rests on, e.g. `PASS (people, 66 labels)`; null while unfinished."""
    exit_code: Literal[0, 1, 3] | None
    """What the command line returned for this status."""
    reason: str
    """One sentence."""
    error_probability: Share | None
    """Bound on the probability of this verdict being false; null when nothing is claimed."""
    next_step: str
    models: Models
    judge: str
    answers: Answers
    denominators: tuple[Denominator, ...]
    decision: Decision | None
    """null while unfinished."""
    hidden: HiddenDecision | None
    """null without a cued arm, and where plain answers are bad too often for it."""
    self_checks: tuple[str, ...]
    notes: tuple[str, ...]
    not_tested: tuple[str, ...]
    grid: tuple[ThresholdCell, ...] = ()
    """What the numbers say by the thresholds around the chosen ones; empty for a check."""
    benchmarks: BenchmarkFamily | None = None
    """Fixed benchmarks; null where none were asked for, and while the run is unfinished."""
    spent: Spent | None = None
    """What the run took so far: time, answers, requests, tokens and money; null where nobody counted."""


def as_record(run: LoadedRun) -> Report:
    """The report of a run."""
    status = Status(story.status(run)) if run.finished else None
    counts = {role: sum(g.role == role for g in run.generations.values()) for role in ROLES}
    return Report(
        schema_version=SCHEMA_VERSION,
        run=run.name,
        verb=run.manifest.verb,
        created=facts.created(run),
        version=facts.version(run),
        finished=run.finished,
        status=status,
        grade=story.grade(run) if run.finished else None,
        exit_code=exit_code(status),
        reason=story.reason(run),
        error_probability=_error_probability(run, status),
        next_step=story.next_step(run),
        models=Models(_named(run, "base"), _named(run, "tuned")),
        judge=run.manifest.judge,
        answers=Answers(counts["base"], counts["tuned"]),
        denominators=tuple(denominators(run)),
        decision=run.decision,
        hidden=run.hidden,
        self_checks=story.self_checks(run),
        notes=story.notes(run),
        not_tested=story.not_tested(run),
        grid=thresholds.grid(run),
        benchmarks=run.benchmarks,
        spent=spent_in(run.path),
    )


def _error_probability(run: LoadedRun, status: Status | None) -> float | None:
    """A FAIL may come from the questions or, where that is so set, from fixed benchmarks."""
    if status not in (Status.PASS, Status.FAIL):
        return None
    fixed = run.benchmarks
    also = fixed is not None and status is Status.FAIL and fixed.settings.red_flag == "fail"
    return facts.alpha(run) + (fixed.settings.alpha if also and fixed is not None else 0.0)


def _named(run: LoadedRun, role: Role) -> NamedModel:
    """Without what a table has besides."""
    model = run.manifest.models[role]
    return NamedModel(model.name, model.fingerprint)


def exit_code(status: Status | None) -> Literal[0, 1, 3] | None:
    """What the command line returns; None while unfinished."""
    codes: dict[Status | None, Literal[0, 1, 3]] = {Status.PASS: 0, Status.FAIL: 1, Status.UNDECIDED: 3}
    return codes.get(status)


def finite(value: Any) -> Any:
    """JSON values with null for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return value


def written(report: object) -> str:
    """A report as ASCII JSON text; never NaN or Infinity."""
    return json.dumps(finite(to_jsonable(report)), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def render(run: LoadedRun) -> str:
    """The report as text."""
    return written(as_record(run))


FORMAT = ReportFormat("json", "report.json", "JSON for machines, with a published schema", render)
