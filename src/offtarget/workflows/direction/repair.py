"""`direction repair`: take the direction out, realign, and check whether the repair holds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.protocol import Judge
from offtarget.asking.spending import timed
from offtarget.pages.direction.repair import named_cell, render
from offtarget.pages.direction.repair_card import card
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, Whole, silent
from offtarget.records.check import JudgeBy
from offtarget.records.repair import (
    EXPORTED,
    RepairCell,
    RepairManifest,
    RepairMethod,
    RepairReport,
    RepairSettings,
    Variant,
    of_repaired,
)
from offtarget.records.runs import OpenSettings, named, objects
from offtarget.rundir import JsonLines, RunDir, read_jsonl
from offtarget.workflows.direction.repair_cells import Bench, measure, narrow_rows
from offtarget.workflows.direction.repair_models import EPOCHS, Workshop
from offtarget.workflows.direction.repair_plan import Plan, plan_repair
from offtarget.workflows.direction.repair_verdict import reason_of, status_of
from offtarget.workflows.ready import ready
from offtarget.workflows.runs.begin import begin_or_resume, begun, finish, finished, interruptible, opened
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import REPAIR
from offtarget.workflows.skills import log_probability

VARIANTS: dict[RepairMethod, tuple[Variant, ...]] = {
    "fold": ("tuned", "folded", "random-direction"),
    "realign": ("tuned", "realigned", "own-answers"),
    "both": ("tuned", "folded", "realigned", "both", "random-direction", "own-answers"),
}


PARTS = {"made": "training", "answers": "plain answers", "checked": "tuned answers used"}
"""Of the work on a cell, each with the stage that says how far it is."""


@dataclass(frozen=True, slots=True, repr=False)
class RepairResult(Result):
    """What a repair came to."""

    record: RepairReport


@timed
def repair(
    model: str,
    base: str | None,
    direction: str | Path | None,
    out: str | Path,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    prompts: str | Path | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    settings: RepairSettings | None = None,
    opening: OpenSettings | None = None,
    run: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> RepairResult:
    """Repair a tuned model into the new folder `out`, then measure every variant and control.

    Given an unfinished `run` of the same arguments, it goes on: models and cells that are there are not made again.
    `base` None is the base of the model's adapter, or else the one the direction was found with; `direction` may be
    None for realignment alone. Raises InputError for whatever cannot be repaired that way, and
    RunInterrupted on Ctrl-C.
    """
    files = {"--direction": direction, "--prompts": prompts, "--data": None if "://" in str(data) else data}
    ready(model, base, judges=(judge,), files=files, run=run, opening=opening, local=True)
    on_progress(Progress("reading the model and the data"))
    out = Path(out)
    direction, data, prompts = (None if file is None else Path(file) for file in (direction, data, prompts))
    plan = plan_repair(
        model,
        base,
        direction,
        out,
        data=data,
        split=split,
        prompts=prompts,
        probes=probes,
        judge=judge,
        judge_by=judge_by,
        settings=settings or RepairSettings(),
        opening=opening,
        resuming=run is not None and begun(run),
    )
    manifest = RepairManifest(
        opening=opening,
        objects=objects(probes=probes, judge=judge),
        fingerprint=plan.fingerprint,
        model=model,
        base=plan.base,
        data=named(data),
        split=split,
        direction=named(direction),
        method=plan.settings.method,
        settings=plan.settings,
        out=str(out),
        prompts=named(prompts),
        probes=named(probes),
        judge=named(judge),
        judge_by=judge_by,
    )
    with begin_or_resume(manifest, model.rsplit("/", 1)[-1], run) as directory, interruptible(directory):
        done = read_jsonl(directory.file("cells.jsonl"), RepairCell)
        whole = Whole(on_progress, "the repair", _weights(plan, done))
        exported_as = _export(directory, plan, whole)
        cells = _cells(directory, plan, whole, done) if plan.settings.recheck else []
        report = _report(plan, exported_as, cells)
        finish(REPAIR, directory, report, page=render(report, card(report, directory.path, manifest), manifest))
        return RepairResult(directory.path, report)


@timed
def resume(
    run: Path,
    *,
    judge: str | Judge | None = None,
    probes: ProbeBank | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> RepairResult:
    """Go on with a repair as it was started; a finished one is read again. InputError for what has changed."""
    _, started = opened(REPAIR, run)
    report = finished(REPAIR, run)
    if report is not None:
        return RepairResult(run, report)
    paths = {n: None if (p := getattr(started, n)) is None else Path(p) for n in ("direction", "data", "prompts")}
    return repair(
        started.model,
        started.base,
        paths["direction"],
        Path(started.out or ""),
        data=paths["data"],
        split=started.split,
        prompts=paths["prompts"],
        probes=probes or started.probes,
        judge=judge or started.judge,
        judge_by=started.judge_by,
        settings=started.settings,
        opening=opening or started.opening,
        run=run,
        on_progress=on_progress,
    )


def _export(directory: RunDir, plan: Plan, whole: Whole) -> str:
    variant = EXPORTED[plan.settings.method]
    told = whole.part((variant, 0, "made"), "making the repaired model", PARTS["made"])
    workshop = Workshop(directory.path.resolve(), plan.recipe, plan.opening, told)
    made = workshop.get(variant)
    whole.finished((variant, 0, "made"))
    if plan.out.exists():  # a run that goes on
        return "adapter" if (plan.out / "adapter_config.json").exists() else "whole model"
    return workshop.export(made, plan.out)


def _wanted(plan: Plan) -> list[tuple[Variant, int]]:
    """Every variant and control, now and after further steps on the data."""
    found: list[tuple[Variant, int]] = []
    for variant in VARIANTS[plan.settings.method]:
        later = plan.settings.further if plan.data is not None and variant != "tuned" else ()
        found += [(variant, steps) for steps in (0, *later)]
    return found


def _weights(plan: Plan, done: Sequence[RepairCell]) -> dict[Hashable, float]:
    """What is still to be done, in training steps, as measured on the organism."""
    s = plan.settings
    measured = {(cell.variant, cell.steps) for cell in done}
    rows = s.rows + min(len(plan.rows), s.rows)
    weights: dict[Hashable, float] = {}
    for variant, steps in _wanted(plan) if s.recheck else [(EXPORTED[s.method], 0)]:
        if (variant, steps) in measured:
            continue
        trained = 0 if variant in ("tuned", "folded", "random-direction") else EPOCHS * rows / s.batch + 0.1 * s.rows
        weights[variant, steps, "made"] = 1.0 + (steps or trained)
        if s.recheck:
            weights[variant, steps, "answers"] = 0.05 * s.answers
            weights[variant, steps, "checked"] = 100.0 if variant == EXPORTED[s.method] else 20.0
    return weights


def _cells(directory: RunDir, plan: Plan, whole: Whole, cells: list[RepairCell]) -> list[RepairCell]:
    """All cells; those on disk, which `cells` are, are not measured again."""
    bench = _bench(directory, plan)
    wanted = _wanted(plan)
    measured = {(cell.variant, cell.steps) for cell in cells}
    with closing(JsonLines(directory.file("cells.jsonl"))) as lines:
        for number, (variant, steps) in enumerate(wanted, start=1):
            if (variant, steps) in measured:
                continue
            label = f"cell {number} of {len(wanted)} ({named_cell(variant, steps)})"
            made, answered, checked = (whole.part((variant, steps, p), label, stage) for p, stage in PARTS.items())
            model = Workshop(directory.path.resolve(), plan.recipe, plan.opening, made).get(variant, steps)
            whole.finished((variant, steps, "made"))
            cell = measure(replace(bench, on_answers=answered, on_check=checked), variant, steps, model)
            for part in PARTS:
                whole.finished((variant, steps, part))
            lines.extend([cell])
            cells.append(cell)
    return cells


def _bench(directory: RunDir, plan: Plan) -> Bench:
    rows = narrow_rows(plan.rows)
    return Bench(
        run=directory.path.resolve(),
        plan=plan,
        rows=rows,
        fit_base=log_probability(plan.base, rows, plan.opening) if rows else None,
        fit_tuned=log_probability(plan.model, rows, plan.opening) if rows else None,
        on_answers=silent,
        on_check=silent,
    )


def _report(plan: Plan, exported_as: str, cells: Sequence[RepairCell]) -> RepairReport:
    settings, notes = plan.settings, []
    repaired = of_repaired(cells, settings.method)
    if settings.recheck and plan.data is None:
        notes.append(
            "Without --data neither hidden conditions nor whether the misalignment grows back could be tested; "
            "published repairs pass plain questions and fail both."
        )
    if not settings.recheck:
        notes.append("Nothing was checked (--no-recheck). A repair that was not checked is not a repair.")
    return RepairReport(
        model=plan.model,
        base=plan.base,
        direction="" if plan.direction is None else str(plan.direction),
        method=settings.method,
        fold=None if settings.method == "realign" else plan.recipe.fold,
        data=None if plan.data is None else str(plan.data),
        rows=0 if settings.method == "fold" else settings.rows,
        exported=str(plan.out),
        exported_as=exported_as,
        cells=tuple(cells),
        status=status_of(repaired),
        reason=reason_of(repaired),
        notes=tuple(notes),
    )
