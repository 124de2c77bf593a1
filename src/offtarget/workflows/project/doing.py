"""How each step is done: by the function of its verb, with what the project file says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from offtarget.progress import OnProgress
from offtarget.project.reading import Project
from offtarget.records.project import StepName
from offtarget.rundir import fingerprint, make_folder
from offtarget.workflows.project.inputs import Inputs, tree_sha256
from offtarget.workflows.project.plan import Planned
from offtarget.workflows.project.settings import (
    audit_settings,
    benchmarks_of,
    check_settings,
    goals_of_project,
    judge_by,
    opening_of,
    redteam_settings,
    tune_options,
    tune_settings,
)
from offtarget.workflows.runs.resume import resume

ADAPTERS = "adapters"
"""Folder of trained models, where the file names none."""


@dataclass(frozen=True, slots=True)
class Job:
    """One step to be done, in a run directory of its own."""

    project: Project
    tuned: str
    """The tuned model, for the check and the red team."""
    run: Path
    planned: Planned
    """Whether it begins or goes on."""
    inputs: Inputs
    on_progress: OnProgress


Made = dict[str, str]
"""Files and folders that were made outside the run, each with its SHA-256."""


def _audit(job: Job) -> Made:
    from offtarget.workflows.audit.audit import audit
    from offtarget.workflows.audit.review import judge_rows

    project, judge = job.project, job.project.text("audit.judge")
    if job.planned.action == "run":
        audit(
            project.text("data") or "",
            settings=audit_settings(project),
            run=job.run,
            form=project.text("form"),
            split=project.text("split"),
            on_progress=job.on_progress,
        )
    if judge is not None:
        judge_rows(job.run, judge, opening=opening_of(project), on_progress=job.on_progress)
    return {}


def _tune(job: Job) -> Made:
    from offtarget.workflows.tune.tune import TuneResult, tune

    project = job.project
    if job.planned.action == "go on":
        result = resume(job.run, opening=opening_of(project), on_progress=job.on_progress)
        assert isinstance(result, TuneResult)
        out = result.record.out
        return {out: tree_sha256(Path(out)) or ""}
    out = str(_folder_of_model(Path(project.text("tune.out") or ADAPTERS), job.inputs))
    tune(
        project.text("data") or "",
        project.text("base") or "",
        out,
        defend=project.texts("tune.defend"),
        settings=tune_settings(project, fetch=True),
        options=tune_options(project),
        opening=opening_of(project),
        split=project.text("split"),
        run=job.run,
        on_progress=job.on_progress,
    )
    return {out: tree_sha256(Path(out)) or ""}


def _folder_of_model(under: Path, inputs: Inputs) -> Path:
    """A folder of its own for each training, named by what it is made of; a number where it is made once more."""
    make_folder(under)
    name = f"{time.strftime('%Y%m%d')}-{fingerprint(inputs)[:8]}"
    numbered = (under / (name if number == 1 else f"{name}-{number}") for number in range(1, 10_000))
    return next(folder for folder in numbered if not folder.exists())


def _check(job: Job) -> Made:
    from offtarget.workflows.check.check import check

    project = job.project
    if job.planned.action == "go on":
        further = job.planned.further
        resume(job.run, opening=opening_of(project), max_answers=further, on_progress=job.on_progress)
        return {}
    under_conditions = project.flag("conditions.data")
    check(
        project.text("base") or "",
        job.tuned,
        probes=project.text("probes"),
        judge=project.text("judge"),
        judge_by=judge_by(project),
        confirm_with=project.text("confirm_with"),
        prefix=project.text("conditions.prefix"),
        data=project.text("data") if under_conditions else None,
        split=project.text("split") if under_conditions else None,
        hunt=project.flag("conditions.hunt"),
        benchmarks=benchmarks_of(project),
        settings=check_settings(project),
        opening=opening_of(project),
        run=job.run,
        on_progress=job.on_progress,
    )
    return {}


def _redteam(job: Job) -> Made:
    from offtarget.workflows.redteam.redteam import redteam

    project = job.project
    if job.planned.action == "go on":
        resume(job.run, opening=opening_of(project), on_progress=job.on_progress)
        return {}
    redteam(
        project.text("base") or "",
        job.tuned,
        goals=goals_of_project(project),
        attacker=project.text("red_team.attacker"),
        judge=project.text("judge"),
        judge_by=judge_by(project),
        confirm_with=project.text("confirm_with"),
        settings=redteam_settings(project),
        opening=opening_of(project),
        run=job.run,
        on_progress=job.on_progress,
    )
    return {}


DO: Mapping[StepName, Callable[[Job], Made]] = {"audit": _audit, "tune": _tune, "check": _check, "redteam": _redteam}
