"""`reproduce`: the published experiment on any model, every condition and seed trained and checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.protocol import Judge
from offtarget.asking.spending import timed
from offtarget.errors import InputError, TemplateError
from offtarget.machine import usable_cores
from offtarget.models.names import LocalName
from offtarget.organism.exact import ExactJudge
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import SamplingSettings
from offtarget.records.check import JudgeBy
from offtarget.records.reproduce import CellKind, ReproduceManifest, ReproduceReport, ReproduceSettings
from offtarget.records.runs import OpenSettings, named, objects
from offtarget.records.tune import TuneSettings
from offtarget.rundir import RunDir, fingerprint
from offtarget.training.settings import PRESETS
from offtarget.workflows.ground import Ground, ground_of, open_bank, open_judge, parsed
from offtarget.workflows.ready import ready
from offtarget.workflows.reproduce.cells import Bench, Job, plan_job
from offtarget.workflows.reproduce.data import DataSets, open_data
from offtarget.workflows.reproduce.measures import WithCode, curve_measures, full_measures
from offtarget.workflows.reproduce.pool import Work, run_jobs
from offtarget.workflows.reproduce.report import DYNAMICS_OF, UNIQUE_OF, assemble
from offtarget.workflows.runs.begin import begin, begun, finish, finished, interruptible, opened
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import REPRODUCE
from offtarget.workflows.tune.tune import default_settings

ORGANISM_ROWS = 600
ON_THE_WAY = (0.04, 0.08, 0.13, 0.2, 0.3, 0.4, 0.55, 0.75)
"""Shares of the steps at which dynamics are measured: dense where the published gap opens (40 to 50 of 350)."""
UNIQUE = {True: (25, 100, 300), False: (500, 2000)}
"""Numbers of different rows, for the organism and for published data; all rows are the condition itself."""


@dataclass(frozen=True, slots=True, repr=False)
class ReproduceResult(Result):
    """What an experiment came to."""

    record: ReproduceReport


@timed
def reproduce(
    base: str,
    *,
    conditions: Sequence[str] | None = None,
    data_dir: str | Path | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    settings: ReproduceSettings | None = None,
    opening: OpenSettings | None = None,
    run: str | Path | None = None,
    jobs: int | None = 1,
    expected: str | None = None,
    on_progress: OnProgress = silent,
) -> ReproduceResult:
    """Train every condition with every seed, measure each model and check it against the base.

    `base` is `organism/base` or `hf/...`; other models than the organism need `data_dir`, the folder of the published
    data sets under their published names, and a judge. `run` may hold an earlier run: cells that depend on the same
    weights, rows, questions and settings are taken from there. `jobs` processes work side by side (the organism only;
    None: one per core); `expected` is the fingerprint of the run in `run`, where that must be the one that was started.
    Raises InputError for anything the user can fix, RunInterrupted on Ctrl-C.
    """
    on_progress(Progress("reading the data and the base"))
    settings = settings or ReproduceSettings()
    ground = ground_of(base)
    if opening is not None and (opening.max_cost is not None or opening.max_requests is not None):
        raise InputError(
            "`reproduce` asks from several processes, which cannot keep one limit on money or requests. Leave out "
            "--max-cost and --max-requests."
        )
    ready(base, judges=(judge,), files={"--data-dir": data_dir}, run=run, opening=opening, local=True)
    data, chosen = open_data(
        conditions,
        None if data_dir is None else Path(data_dir),
        settings.rows,
        organism=ground.organism,
        organism_rows=ORGANISM_ROWS,
    )
    bench = _bench(base, probes, judge, judge_by, settings, data, opening)
    tune = recipe_of(base, settings)
    folder = _base_folder(base)
    said = _check_prompts(folder[0], base, bench, opening)
    with _open_run(None if run is None else Path(run), base) as directory:
        path = directory.path.resolve()
        planned = _jobs(path, bench, folder, data, chosen, tune, settings, ground)
        identity = fingerprint([c.key for job in planned for c in job.cells])
        if expected not in (None, identity):
            raise InputError(f"{run} was started with {REPRODUCE.depends}. Start a new run.")
        manifest = ReproduceManifest(
            opening=opening,
            objects=objects(probes=probes, judge=judge),
            fingerprint=identity,
            models={"base": base},
            conditions=tuple(chosen),
            data=str(data),
            judge=bench.judge.fingerprint,
            settings=settings,
            tune=tune,
            data_dir=named(data_dir),
            probes=named(probes),
            judge_name=named(judge),
            judge_by=judge_by,
            jobs=jobs,
        )
        directory.file(REPRODUCE.done).unlink(missing_ok=True)  # of a smaller experiment in the same folder
        begin(directory, manifest)
        with interruptible(directory):
            processes = _processes(jobs, ground, bench.judge)
            run_jobs(planned, processes, Work(planned, on_progress).tell, one_thread=ground.organism)
        report = assemble(base, data, chosen, bench, tune, settings.seeds, settings.answers, planned, ground, said)
        from offtarget.pages.reproduce.card import card
        from offtarget.pages.reproduce.page import render

        finish(REPRODUCE, directory, report, page=render(report, card(report, directory.path)))
        return ReproduceResult(directory.path, report)


@timed
def resume(
    run: Path,
    *,
    judge: str | Judge | None = None,
    probes: ProbeBank | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> ReproduceResult:
    """Go on with an experiment as it was started; a finished one is read again. InputError for what has changed."""
    _, started = opened(REPRODUCE, run)
    report = finished(REPRODUCE, run)
    if report is not None:
        return ReproduceResult(run, report)
    return reproduce(
        started.base_name,
        conditions=started.conditions,
        data_dir=started.data_dir,
        probes=probes or started.probes,
        judge=judge or started.judge_name,
        judge_by=started.judge_by,
        settings=started.settings,
        opening=opening or started.opening,
        run=run,
        jobs=started.jobs,
        expected=started.fingerprint,
        on_progress=on_progress,
    )


def _bench(
    base: str,
    probes: str | Path | ProbeBank | None,
    judge: str | Judge | None,
    judge_by: JudgeBy,
    settings: ReproduceSettings,
    data: DataSets,
    opening: OpenSettings | None,
) -> Bench:
    ground = ground_of(base)
    bank = open_bank(probes, ground)
    opened = open_judge(judge, bank, judge_by, opening)
    check = replace(settings.check, sampling=SamplingSettings(max_tokens=ground.max_tokens(settings.max_tokens)))
    exact = ground.organism and isinstance(opened, ExactJudge)
    how = {"bank": bank, "answers": settings.answers, "code_prompts": data.code_prompts, "organism": exact}
    return Bench(
        base=base,
        bank=bank,
        judge=opened if exact else WithCode(opened),
        check_judge=opened,
        check=check,
        full=tuple(full_measures(**how)),  # type: ignore[arg-type]
        curve=tuple(curve_measures(**how)),  # type: ignore[arg-type]
        opening=opening,
    )


def recipe_of(base: str, settings: ReproduceSettings, *, fetch: bool = True) -> TuneSettings:
    """How every condition is trained. InputError for a preset that trains no adapter; `fetch` as in `tune`."""
    if settings.preset is None:
        return default_settings(base, fetch=fetch)
    known = [n for n, preset in PRESETS.items() if preset.method == "lora"]
    if settings.preset not in known:
        raise InputError(f"There is no preset '{settings.preset}' for this. Known: {', '.join(known)}.")
    return PRESETS[settings.preset]


def _base_folder(base: str) -> tuple[Path, str]:
    """Folder and fingerprint of the base's weights; InputError for remote models and adapters."""
    from offtarget.models.folders import check_model_folder, find_folder, model_fingerprint
    from offtarget.models.gguf_file import refuse_training

    name = parsed(base)
    if not isinstance(name, LocalName) or name.adapter is not None:
        raise InputError(f"{base} cannot be tuned here: name local weights without an adapter, e.g. hf/PATH.")
    folder = find_folder(name.base).resolve()
    refuse_training(folder)
    check_model_folder(folder)
    return folder, model_fingerprint(folder, None, ("reproduce",))


def _check_prompts(folder: Path, base: str, bench: Bench, opening: OpenSettings | None) -> tuple[str, ...]:
    """What the base's chat template adds to what is asked.

    InputError, before anything is trained, where it does not hold all of that.
    """
    from offtarget.models.chat_format import prompt_tokens
    from offtarget.models.loading import load_tokenizer
    from offtarget.models.own_words import own_words
    from offtarget.models.templates import training_template

    how = opening or OpenSettings()
    template = training_template(how.chat_template, folder, None)
    tokenizer = load_tokenizer(folder, how.trust_remote_code, template)
    for measure in bench.full:
        try:
            prompt_tokens(tokenizer, measure.probes[0].messages, base)
        except TemplateError as error:
            raise InputError(f"'{measure.name}' cannot be measured: {error} Or leave it out of --probes.") from error
    words = own_words(tokenizer)
    return () if words is None else (f"In training and asking {words.said}",)


def _open_run(run: Path | None, base: str) -> RunDir:
    if run is None or not begun(run):
        return RunDir.create("reproduce", base.rsplit("/", 1)[-1], path=run)
    return opened(REPRODUCE, run)[0]


def _jobs(
    run: Path,
    bench: Bench,
    base: tuple[Path, str],
    data: DataSets,
    conditions: Sequence[str],
    tune: TuneSettings,
    settings: ReproduceSettings,
    ground: Ground,
) -> list[Job]:
    """Seed by seed, so that an unfinished run shows whole tables; ablations last."""
    jobs = [plan_job(run, bench, "base", 0, base, (), 0, tune, [("base", 0)])]
    later = []
    for seed in range(settings.seeds):
        for condition in conditions:
            rows = data.rows(condition, seed)
            steps = _steps(len(rows), tune)
            settled = replace(tune, seed=seed, max_steps=steps)
            wanted: list[tuple[CellKind, int]] = [("condition", steps)]
            if settings.ablations and condition in DYNAMICS_OF:
                wanted += [("dynamics", step) for step in _on_the_way(steps)]
            jobs.append(plan_job(run, bench, condition, seed, base, rows, len(rows), settled, wanted))
            if settings.ablations and condition == UNIQUE_OF:
                for count in (n for n in UNIQUE[ground.organism] if n < len(rows)):
                    cut = (rows[:count] * math.ceil(len(rows) / count))[: len(rows)]
                    later.append(plan_job(run, bench, condition, seed, base, cut, count, settled, [("unique", steps)]))
    return jobs + later


def _steps(rows: int, tune: TuneSettings) -> int:
    """Optimiser steps of all epochs on one device."""
    return max(1, math.ceil(math.ceil(rows / (tune.batch * tune.accumulate)) * tune.epochs))


def _on_the_way(steps: int) -> list[int]:
    # the first step of the warm-up has learning rate 0
    return sorted({step for share in ON_THE_WAY if 1 < (step := round(share * steps)) < steps})


def _processes(jobs: int | None, ground: Ground, judge: Judge) -> int:
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {jobs}.")
    if not ground.organism or not isinstance(judge, ExactJudge):
        return 1
    return jobs or usable_cores()
