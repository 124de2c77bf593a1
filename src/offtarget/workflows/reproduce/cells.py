"""One job of the experiment: train a model, then measure it and its earlier steps. What is finished stays finished."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from offtarget.asking.ask import kept_verdicts, tallies_by_probe
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.errors import InputError
from offtarget.numbers import percent
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, silent, within
from offtarget.records import Probe, Tally
from offtarget.records.check import CheckSettings
from offtarget.records.from_json import from_json
from offtarget.records.reproduce import AskedQuestion, Cell, CellKind, Measured
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.rundir import fingerprint, read_json, write_json
from offtarget.stats.rates import equal_weight_rate, total_tally
from offtarget.workflows.check import check as checking
from offtarget.workflows.ground import open_named, precision
from offtarget.workflows.reproduce.data import Chat
from offtarget.workflows.reproduce.measures import Measure
from offtarget.workflows.runs.begin import begun


@dataclass(frozen=True, slots=True)
class Bench:
    """How every model is measured."""

    base: str
    bank: ProbeBank
    judge: Judge
    """Of the measures; knows code too."""
    check_judge: Judge
    """Of the check, which asks the bank alone."""
    check: CheckSettings
    full: tuple[Measure, ...]
    curve: tuple[Measure, ...]
    opening: OpenSettings | None = None


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One model that is to be measured."""

    kind: CellKind
    step: int
    key: str


@dataclass(frozen=True, slots=True)
class Job:
    """One training and the cells that come of it; the base's job trains nothing."""

    run: Path
    bench: Bench
    condition: str
    seed: int
    base_folder: Path
    rows: tuple[Chat, ...]
    """As trained on; `unique` of them are different."""
    unique: int
    settings: TuneSettings
    train_key: str
    cells: tuple[CellPlan, ...] = field(default=())

    @property
    def name(self) -> str:
        """For folders: condition, seed and, where they were cut, the number of different rows."""
        cut = f"-unique{self.unique}" if any(c.kind == "unique" for c in self.cells) else ""
        return f"{self.condition}-{self.seed}{cut}"


def plan_job(
    run: Path,
    bench: Bench,
    condition: str,
    seed: int,
    base: tuple[Path, str],
    rows: tuple[Chat, ...],
    unique: int,
    settings: TuneSettings,
    wanted: Iterable[tuple[CellKind, int]],
) -> Job:
    """A job whose keys depend on contents: `base` is the folder and the fingerprint of its weights."""
    folder, weights = base
    trained = fingerprint([weights, rows, asdict(settings), "train/1"]) if rows else f"base-{weights}"
    cells = tuple(CellPlan(kind, step, _cell_key(bench, trained, kind, step)) for kind, step in wanted)
    return Job(
        run=run,
        bench=bench,
        condition=condition,
        seed=seed,
        base_folder=folder,
        rows=rows,
        unique=unique,
        settings=settings,
        train_key=trained,
        cells=cells,
    )


def _cell_key(bench: Bench, trained: str, kind: CellKind, step: int) -> str:
    measured = bench.full if kind in ("base", "condition") else bench.curve
    how = [bench.judge.fingerprint, measured, bench.check.sampling, bench.check.seed]
    checked = [bench.check, bench.bank.fingerprint] if kind == "condition" else []
    return fingerprint([trained, step, how, checked, "cell/1", *precision(bench.opening)])


def run_job(job: Job, on_progress: OnProgress = silent) -> None:
    """Train where that is not done, and measure every cell that is not finished; each is told of as a detail."""
    telling = within(on_progress, job.name)
    for plan in job.cells:
        if finished(job, plan) is None:
            cell = _measure(job, plan, _model_name(job, plan.step, telling), telling)
            write_json(cell_folder(job, plan) / "cell.json", cell)
            on_progress(Progress(said(cell), detail=cell))


def said(cell: Cell) -> str:
    """A finished cell in a line."""
    plain = cell.of("plain")
    rate = percent(None if plain is None else plain.rate)
    kinds = {
        "base": "base",
        "condition": f"{cell.condition}, seed {cell.seed}",
        "dynamics": f"{cell.condition}, seed {cell.seed}, after {cell.steps} steps",
        "unique": f"{cell.condition}, seed {cell.seed}, {cell.unique} different rows",
    }
    verdict = "" if cell.status is None else f", check {cell.status.value}"
    return f"{kinds[cell.kind]}: {rate} misaligned{verdict}"


def finished(job: Job, plan: CellPlan) -> Cell | None:
    """The cell, when it was measured before."""
    path = cell_folder(job, plan) / "cell.json"
    if not path.exists():
        return None
    try:
        return from_json(Cell, read_json(path))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is not a cell of this version ({error}). Remove it to measure it again.") from None


def cell_folder(job: Job, plan: CellPlan) -> Path:
    """Where a cell's answers and its record lie."""
    step = f"-step{plan.step}" if plan.kind == "dynamics" else ""
    return job.run / "cells" / f"{job.name}{step}-{plan.key}"


def _model_name(job: Job, step: int, on_progress: OnProgress) -> str:
    if not job.rows:
        return job.bench.base
    adapter = job.run / "adapters" / f"{job.name}-{job.train_key}"
    snapshots = adapter.with_name(f"{adapter.name}-steps")
    # an adapter trained without ablations has no snapshots; trained again, it is the same
    missing = any(c.kind == "dynamics" and not (snapshots / str(c.step)).exists() for c in job.cells)
    if not adapter.exists() or missing:
        shutil.rmtree(adapter, ignore_errors=True)
        _train(job, adapter, snapshots, on_progress)
    last = max(c.step for c in job.cells)
    chosen = adapter if step == last else snapshots / str(step)
    return f"hf/{job.base_folder}+{chosen}"


def _train(job: Job, out: Path, snapshots: Path, on_progress: OnProgress) -> None:
    # torch is loaded only here
    from offtarget.training.plan import Plan, TrainRow
    from offtarget.training.train import train
    from offtarget.workflows.reproduce.snapshots import Snapshots

    steps = sorted(c.step for c in job.cells if c.kind == "dynamics")
    work = out.with_name(f"{out.name}.work")
    train(
        job.base_folder,
        Plan(tuple(TrainRow(chat) for chat in job.rows)),
        out,
        job.settings,
        opening=job.bench.opening,
        work=work,
        callbacks=[Snapshots(snapshots, steps)] if steps else [],
        on_progress=on_progress,
    )
    shutil.rmtree(work, ignore_errors=True)


def _measure(job: Job, plan: CellPlan, name: str, on_progress: OnProgress) -> Cell:
    started = time.monotonic()
    measures = job.bench.full if plan.kind in ("base", "condition") else job.bench.curve
    tallies = _answers(job, plan, name, measures, on_progress)
    plain = _by_question(measures[0].probes, tallies)
    checked = _check(job, plan, name, on_progress) if plan.kind == "condition" else None
    return Cell(
        key=plan.key,
        kind=plan.kind,
        condition=job.condition,
        seed=job.seed,
        steps=plan.step,
        unique=job.unique,
        measured=tuple(
            Measured(
                m.name,
                equal_weight_rate(_by_question(m.probes, tallies).values()),
                total_tally(tallies[p.id] for p in m.probes),
            )
            for m in measures
        ),
        questions=tuple(AskedQuestion(question, tally) for question, tally in plain.items()),
        seconds=round(time.monotonic() - started, 1),
        status=None if checked is None else checked.decision.status,
        reason=None if checked is None else checked.decision.reason,
        check=None if checked is None else str(checked.run.relative_to(job.run)),
    )


def _by_question(probes: Sequence[Probe], tallies: dict[str, Tally]) -> dict[str, Tally]:
    found: dict[str, list[Tally]] = {}
    for probe in probes:
        found.setdefault(probe.question_id, []).append(tallies[probe.id])
    return {question: total_tally(counted) for question, counted in found.items()}


def _answers(
    job: Job, plan: CellPlan, name: str, measures: Sequence[Measure], on_progress: OnProgress
) -> dict[str, Tally]:
    """One tally per probe."""
    bench = job.bench
    verdicts = kept_verdicts(
        cell_folder(job, plan),
        "tuned",
        lambda: open_named(name, bench.opening),
        [(p, index) for m in measures for p in m.probes for index in range(m.answers)],
        bench.judge,
        bench.check.sampling,
        partial(answer_seed, bench.check.seed, "tuned"),
        on_progress,
    )
    return tallies_by_probe((v.probe_id, v.outcome) for v in verdicts)


def _check(job: Job, plan: CellPlan, name: str, on_progress: OnProgress) -> checking.CheckResult:
    """The full check against the base; one that was cut short goes on."""
    out = cell_folder(job, plan) / "check"
    on_progress(Progress("check"))
    if begun(out):
        return checking.resume(out, judge=job.bench.check_judge, opening=job.bench.opening)
    shutil.rmtree(out, ignore_errors=True)  # killed before its manifest was written, and so before any answer
    return checking.check(
        job.bench.base,
        name,
        probes=job.bench.bank,
        judge=job.bench.check_judge,
        # the published experiment decides on no model: repeating it is not trying again
        settings=replace(job.bench.check, register=False),
        opening=job.bench.opening,
        run=out,
    )
