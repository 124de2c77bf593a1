"""The last step of a project: the reports of its runs, written again where a run or the list of formats changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from offtarget.models.folders import file_sha256
from offtarget.pages.registry import format_names
from offtarget.project.reading import Project
from offtarget.records.project import StepEntry, StepName, StepOutcome
from offtarget.rundir import MANIFEST
from offtarget.version import __version__
from offtarget.workflows.project.inputs import HASH, Inputs, tree_sha256
from offtarget.workflows.project.ledger import Ledger
from offtarget.workflows.project.plan import VERB_OF, differences
from offtarget.workflows.runs.report import report


def check_formats(project: Project) -> None:
    """InputError for a format that there is not."""
    known = format_names()
    for name in project.texts("reports"):
        if name not in known:
            raise project.error("reports", f"there is no report format '{name}'. Formats: {', '.join(known)}.")


def report_step(
    project: Project, runs: Mapping[StepName, Path], ledger: Ledger, *, do: bool, forced: bool
) -> StepOutcome:
    """Write the reports of these runs, unless they are there already. Raises InputError for what cannot be written."""
    if not runs:
        return StepOutcome("report", "not run", "there is no finished run to report")
    inputs = _inputs(project, runs)
    known = ledger.entries("report")
    why = "it was asked for with --again" if forced else _changed(known, inputs)
    if why is None:
        unchanged = "nothing that it depends on has changed"
        return StepOutcome("report", "up to date", unchanged, "DONE", files=tuple(known[0].made))
    if not do:
        return StepOutcome("report", "would run", why)
    ledger.begin("report", "", inputs)
    made: dict[str, str] = {}
    for run in runs.values():
        for name in project.texts("reports"):
            file = report(run, name)
            made[str(file)] = file_sha256(Path(file))
    ledger.end("report", "", inputs, made)
    return StepOutcome("report", "ran", why, "DONE", files=tuple(made))


def _inputs(project: Project, runs: Mapping[StepName, Path]) -> Inputs:
    """The formats, and every run with its manifest and its result."""
    found = {"formats": ", ".join(project.texts("reports"))}
    for step, run in runs.items():
        files = (file_sha256(run / name) for name in (MANIFEST, VERB_OF[step].done))
        found[f"the run of {step}"] = f"{run.name}{HASH}{' '.join(files)}"
    return {**found, "offtarget": __version__}


def _changed(known: list[StepEntry], inputs: Inputs) -> str | None:
    """Why reports are to be written; None where those that are there are these."""
    if not known:
        return "for the first time"
    newest = known[0]
    if newest.inputs != inputs:
        return differences(newest.inputs, inputs)
    if not newest.ended:
        return "it was interrupted"
    for name, sha256 in newest.made.items():
        if tree_sha256(Path(name)) != sha256:
            return f"{name} {'was changed' if Path(name).exists() else 'is gone'}"
    return None
