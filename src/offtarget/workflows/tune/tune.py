"""`tune`: train with the alignment watched, under defences; a killed run goes on where it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from offtarget.asking.protocol import Judge
from offtarget.asking.spending import timed
from offtarget.errors import InputError, VerdictError
from offtarget.models.folders import at_hand, find_folder
from offtarget.models.names import LocalName
from offtarget.numbers import many
from offtarget.pages.tune.card import rung
from offtarget.pages.tune.loading import load_watched
from offtarget.pages.tune.monitor import PAGE, render
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Row
from offtarget.records.runs import OpenSettings, objects
from offtarget.records.tune import TuneChoices, TuneManifest, TuneReport, TuneSettings
from offtarget.rundir import RunDir, fingerprint
from offtarget.training.settings import PRESETS, SMALL
from offtarget.workflows.ground import Folders, ground_of, parsed, precision, with_adapter
from offtarget.workflows.guesses import size_by_name
from offtarget.workflows.parallel import processes, rank, run_of_all
from offtarget.workflows.ready import ready
from offtarget.workflows.runs.begin import begun, finish, finished, interruptible, opened
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import TUNE
from offtarget.workflows.tune.data import TrainingData, read_training_data
from offtarget.workflows.tune.estimate import steps_of
from offtarget.workflows.tune.options import TuneOptions, chosen_by_name, options_again, options_identity

if TYPE_CHECKING:
    from offtarget.training.plan import Plan
    from offtarget.training.train import Trained


@dataclass(frozen=True, slots=True, repr=False)
class TuneResult(Result):
    """What a training came to."""

    record: TuneReport

    def raise_for_verdict(self) -> Self:
        """This result, if the training was watched and no alarm rang; else raises VerdictError."""
        if self.state == "DONE":  # a pipeline that asks for a verdict must not take silence for one
            raise VerdictError(self.state, self.card.sentence, str(self.run))
        # named outright: a dataclass with slots is another class than the one `super()` was written in
        return Result.raise_for_verdict(self)


def default_settings(base: str, *, fetch: bool = True) -> TuneSettings:
    """The published recipe, or what suits a small model or the organism.

    `fetch`: a base on the hub is fetched, if need be, to see how large it is; without it counts as large. InputError
    for one that cannot be fetched.
    """
    name = parsed(base)
    if fetch and isinstance(name, LocalName) and at_hand(name.base) is None:
        find_folder(name.base)
    size = size_by_name(base)
    small = size is not None and size.body + size.head < SMALL
    return PRESETS["small" if small else ground_of(base).preset]


@timed
def tune(
    data: str | Path,
    base: str,
    out: str | Path,
    *,
    defend: Sequence[str] = (),
    settings: TuneSettings | None = None,
    options: TuneOptions | None = None,
    opening: OpenSettings | None = None,
    split: str | None = None,
    run: str | Path | None = None,
    report_to: str = "none",
    on_progress: OnProgress = silent,
) -> TuneResult:
    """Train `base` on `data` into the new folder `out`, with the monitor watching and the named defences at work.

    Of a folder with several splits `split` is trained on, by default `train`. A base with an adapter
    (`hf/BASE+ADAPTER`) is trained further. Given an unfinished `run` of the same arguments, it goes on and ends with
    the weights of an uninterrupted run. Raises InputError for whatever cannot be trained, before anything is written,
    and RunInterrupted on Ctrl-C.
    """
    out, run = Path(out), None if run is None else Path(run)
    options = options or TuneOptions()
    refuse_out(out, run)
    if processes() > 1 and run is None:
        raise InputError("With several processes name the run directory (--run DIR), so that all of them use the same.")
    ready(base, options.misaligned, judges=(options.judge,), run=run, opening=opening, local=True)
    settings = settings or default_settings(base)
    on_progress(Progress(f"reading {data}"))
    folders, rows = Folders.of(base), read_training_data(data, split)
    chosen = checked_defences(defend, options)
    identity = [base, [r.sha256 for r in rows.rows], chosen, asdict(settings), options_identity(options)]
    manifest = TuneManifest(
        opening=opening,
        objects=objects(probes=options.probes, judge=options.judge),
        fingerprint=fingerprint([*identity, *precision(opening)]),
        data=str(data),
        base=base,
        out=str(out),
        defences=tuple(defend),
        settings=settings,
        options=chosen_by_name(options),
        split=split,
        report_to=report_to,
        processes=processes(),
    )
    with run_of_all(manifest, out.name, run) as directory, interruptible(directory, clock=not rank()):
        try:
            return _train(directory, folders, rows, manifest, options, on_progress)
        except InputError:
            if not rank() and not directory.file("training").exists():
                directory.discard()  # refused before its training began: kept, it would refuse the mended data
            raise


@timed
def resume(
    run: Path,
    *,
    judge: str | Judge | None = None,
    probes: ProbeBank | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> TuneResult:
    """Go on with a training as it was started; a finished one is read again. InputError for what has changed."""
    _, started = opened(TUNE, run)
    report = finished(TUNE, run)
    if report is not None:
        return TuneResult(run, report)
    return tune(
        started.data,
        started.base,
        started.out,
        defend=started.defences,
        settings=started.settings,
        options=options_again(started.options, judge, probes),
        opening=opening or started.opening,
        split=started.split,
        run=run,
        report_to=started.report_to,
        on_progress=on_progress,
    )


def refuse_out(out: Path, run: Path | None) -> None:
    """InputError where what would be written is there already, and not of an unfinished run that goes on."""
    if out.exists() and (run is None or not begun(run) or (run / TUNE.done).exists()):
        raise InputError(f"{out} already exists. Choose another folder with --out.")


def checked_defences(defend: Sequence[str], options: TuneOptions | TuneChoices) -> list[str]:
    """Labels of the defences. Raises InputError for one that is unknown, and for one without what it works with."""
    """The labels in the order of their application; torch is loaded only when there are any."""
    if not defend:
        return []
    from offtarget.training.defences.registry import named

    chosen = named(defend)
    if any(c.defence.name == "early-stop" and not c.control for c in chosen) and not options.monitor:
        raise InputError("early-stop stops at the monitor's alarm, so it does not go with --no-monitor.")
    return [c.label for c in chosen]


def _train(
    directory: RunDir,
    folders: Folders,
    data: TrainingData,
    manifest: TuneManifest,
    options: TuneOptions,
    on_progress: OnProgress,
) -> TuneResult:
    on_progress(Progress(f"opening {manifest.base}, to train it on {many(len(data.rows), 'row')}"))
    from offtarget.training.train import train

    base, settings, opening = manifest.base, manifest.settings, manifest.opening
    # every process makes its own materials; the seeds make them equal
    materials = directory.path / f"rank-{rank()}" if rank() else directory.path
    plan = defended_plan(base, data.rows, manifest.defences, materials, settings, options, opening, on_progress)
    monitor = (
        training_monitor(
            base, data.rows, directory.path, settings, options, opening, stop=plan.stop_on_alarm, told=on_progress
        )
        if options.monitor
        else None
    )
    if monitor is not None:
        on_progress(Progress(f"watching, to be seen in {directory.file(PAGE)}; the base is read first"))
    trained = train(
        folders.base,
        plan,
        Path(manifest.out),
        settings,
        adapter=folders.adapter,
        opening=opening,
        work=directory.file("training"),
        callbacks=() if monitor is None else (monitor,),
        on_progress=_saying_alarms(monitor, on_progress),
        report_to=manifest.report_to,
    )
    report = _report(manifest, data, plan, trained, monitor)
    if not rank():
        finish(TUNE, directory, report, page=render(load_watched(directory.path, report)))
    return TuneResult(directory.path, report)


def _saying_alarms(monitor: Any, on_progress: OnProgress) -> OnProgress:
    """`on_progress`, which also says once that the alarm was raised."""
    said: list[int] = []

    def tell(progress: Progress) -> None:
        step = None if monitor is None else monitor.alarm_step
        if step is not None and not said:
            said.append(step)
            on_progress(Progress(f"ALARM. {rung(step, monitor.alarm)}"))
        on_progress(progress)

    return tell


def defended_plan(
    base: str,
    rows: Sequence[Row],
    defend: Sequence[str],
    run: Path,
    settings: TuneSettings,
    options: TuneOptions,
    opening: OpenSettings | None,
    on_progress: OnProgress,
) -> Any:
    """The plan of training on `rows` under the named defences; what they need is made once, into the run directory."""
    from offtarget.training.defences.registry import defend as apply
    from offtarget.training.plan import Plan, TrainRow

    plan = Plan(tuple(TrainRow.of(row) for row in rows))
    if not defend:
        return plan
    from offtarget.workflows.tune.materials import make_materials

    made = make_materials(
        base,
        rows,
        defend,
        run,
        seed=settings.seed,
        steps=steps_of(len(rows), settings),
        options=options,
        opening=opening,
        on_progress=on_progress,
    )
    return apply(plan, defend, made)


def training_monitor(
    base: str,
    rows: Sequence[Row],
    run: Path,
    settings: TuneSettings,
    options: TuneOptions,
    opening: OpenSettings | None,
    *,
    stop: bool,
    told: OnProgress,
) -> Any:
    """The monitor of a training, writing its readings into `run`, after its judge was tried on known answers."""
    from offtarget.workflows.tune.monitor import make_monitor

    return make_monitor(
        base,
        [row.messages for row in rows],
        probes=options.probes,
        judge=options.judge,
        judge_by=options.judge_by,
        direction=options.file("direction"),
        every=options.every,
        opening=opening,
        stop=stop,
        run=run,
        seed=settings.seed,
        trial=True,
        on_progress=told,
    )


def _report(
    manifest: TuneManifest,
    data: TrainingData,
    plan: Plan,
    trained: Trained,
    monitor: Any,
) -> TuneReport:
    return TuneReport(
        base=manifest.base,
        data=manifest.data,
        split=manifest.split,
        out=manifest.out,
        name=tuned_name(manifest.base, manifest.out, manifest.settings),
        rows=len(data.rows),
        defences=manifest.defences,
        settings=asdict(manifest.settings),
        steps=trained.steps,
        planned=trained.planned,
        kept_step=trained.kept_step,
        loss=None if math.isnan(trained.loss) else trained.loss,
        monitored=monitor is not None,
        alarm_step=None if monitor is None else monitor.alarm_step,
        best_step=None if monitor is None else monitor.best_step,
        checks=trained.checks,
        notes=(*data.notes, *trained.notes),
        defence_notes=plan.notes,
        early_stop=plan.stop_on_alarm,
        rang=() if monitor is None else monitor.rang,
        seconds=trained.seconds,
    )


def tuned_name(base: str, out: str, settings: TuneSettings) -> str:
    """The tuned model as `check` takes it."""
    return f"hf/{out}" if settings.method == "full" else with_adapter(base, out)
