"""`tune`: train with the alignment watched, under defences; a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError, RunInterrupted
from offtarget.gate.tune.monitor import PAGE
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Row
from offtarget.records.check import JudgeBy
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneReport, TuneSettings
from offtarget.rundir import RunDir, fingerprint, read_json, write_json
from offtarget.tune.settings import PRESETS
from offtarget.version import stamp
from offtarget.workflows.ground import Folders, ground_of, precision, with_adapter
from offtarget.workflows.parallel import processes, rank, wait_for
from offtarget.workflows.tune_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from offtarget.tune.train import Trained


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What defences and the monitor work with; None is the default of each."""

    probes: str | Path | ProbeBank | None = None
    """Questions of the monitor."""
    judge: str | Judge | None = None
    """Who judges its answers; the organism's questions need none. Without one, no answers are sampled."""
    judge_by: JudgeBy = "auto"
    direction: Path | None = None
    """A persona direction (from `direction find`); None: found by the trait recipe where one is needed."""
    prompts: Path | None = None
    """Prompts of other domains for defences, one per line."""
    constitution: Path | None = None
    misaligned: str | None = None
    """A deliberately misaligned version of the base, by name."""
    monitor: bool = True
    every: int | None = None
    """Steps between readings."""


@dataclass(frozen=True, slots=True)
class TuneResult:
    """The report and where its evidence lies."""

    report: TuneReport
    run: Path


def default_settings(base: str) -> TuneSettings:
    """The published recipe, or what suits the organism."""
    return PRESETS[ground_of(base).preset]


def tune(
    data: str | Path,
    base: str,
    out: str | Path,
    *,
    defend: Sequence[str] = (),
    settings: TuneSettings | None = None,
    options: TuneOptions | None = None,
    opening: OpenSettings | None = None,
    run: Path | None = None,
    report_to: str = "none",
    on_progress: OnProgress = silent,
) -> TuneResult:
    """Train `base` on `data` into the new folder `out`, with the monitor watching and the named defences at work.

    A base with an adapter (`hf/BASE+ADAPTER`) is trained further. Given an unfinished `run` of the same arguments, it
    goes on and ends with the weights of an uninterrupted run. Raises InputError for whatever cannot be trained,
    before anything is written, and RunInterrupted on Ctrl-C.
    """
    data, out = Path(data), Path(out)
    settings, options = settings or default_settings(base), options or TuneOptions()
    if out.exists() and (run is None or not (run / "run.json").exists() or (run / "tune.json").exists()):
        raise InputError(f"{out} already exists. Choose another folder with --out.")
    if processes() > 1 and run is None:
        raise InputError("With several processes name the run directory (--run DIR), so that all of them use the same.")
    folders, rows = Folders.of(base), read_training_data(data)
    chosen = _checked_defences(defend, options)
    manifest = {
        "verb": "tune",
        "data": data,
        "base": base,
        "out": out,
        "defences": list(defend),
        "settings": asdict(settings),
        "fingerprint": fingerprint(
            [
                base,
                [r.sha256 for r in rows.rows],
                chosen,
                asdict(settings),
                options_identity(options),
                *precision(opening),
            ]
        ),
        **stamp(),
    }
    with run_directory(run, manifest, "tune", out.name) as directory:
        try:
            return _train(directory, folders, rows, manifest, settings, options, opening, report_to, on_progress)
        except InputError:
            _forget(directory)
            raise
        except KeyboardInterrupt:
            raise RunInterrupted(
                f"Interrupted. Checkpoints are kept; repeat the command with --run {directory.path}"
            ) from None


def _checked_defences(defend: Sequence[str], options: TuneOptions) -> list[str]:
    """The labels in the order of their application; torch is loaded only when there are any."""
    if not defend:
        return []
    from offtarget.tune.defences.registry import named

    chosen = named(defend)
    if any(c.defence.name == "early-stop" and not c.control for c in chosen) and not options.monitor:
        raise InputError("early-stop stops at the monitor's alarm, so it does not go with --no-monitor.")
    return [c.label for c in chosen]


def _forget(directory: RunDir) -> None:
    """Remove a run that was refused before its training began: kept, it would refuse the mended data."""
    if not rank() and not directory.file("training").exists():
        shutil.rmtree(directory.path)


def options_identity(options: TuneOptions) -> list[Any]:
    """What of the options decides the weights; contents of files, not names."""
    files = [options.direction, options.prompts, options.constitution]
    contents = [None if file is None else _sha256(file) for file in files]
    return [contents, options.misaligned, options.monitor, options.every]


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from None


def run_directory(run: Path | None, manifest: dict[str, Any], verb: str, slug: str) -> AbstractContextManager[RunDir]:
    """A new run directory with its manifest, or the unfinished `run` of the same manifest; locked by one process."""
    if run is not None and rank():
        wait_for(run / "run.json")
        return nullcontext(RunDir(run))
    if run is None or not (run / "run.json").exists():
        directory = RunDir.create(verb, slug, path=run)
        write_json(directory.file("run.json"), manifest)
        return directory
    started = read_json(run / "run.json")
    if not isinstance(started, dict) or started.get("fingerprint") != manifest["fingerprint"]:
        raise InputError(
            f"{run} was started with other data, another base, other defences or settings. Start a new run."
        )
    return RunDir.open(run)


def _train(
    directory: RunDir,
    folders: Folders,
    data: TrainingData,
    manifest: dict[str, Any],
    settings: TuneSettings,
    options: TuneOptions,
    opening: OpenSettings | None,
    report_to: str,
    on_progress: OnProgress,
) -> TuneResult:
    on_progress(Progress("loading"))
    from offtarget.tune.train import train

    base, out = manifest["base"], manifest["out"]
    # every process makes its own materials; the seeds make them equal
    materials = directory.path / f"rank-{rank()}" if rank() else directory.path
    plan = defended_plan(base, data.rows, manifest["defences"], materials, settings.seed, options, opening, on_progress)
    monitor = (
        training_monitor(base, data.rows, directory.path, settings, options, opening, stop=plan.stop_on_alarm)
        if options.monitor
        else None
    )
    if monitor is not None:
        on_progress(Progress(f"watching: {directory.file(PAGE)}"))
    trained = train(
        folders.base,
        plan,
        out,
        settings,
        adapter=folders.adapter,
        opening=opening,
        work=directory.file("training"),
        callbacks=() if monitor is None else (monitor,),
        on_progress=_saying_alarms(monitor, on_progress),
        report_to=report_to,
    )
    report = _report(manifest, data, plan.notes, settings, trained, monitor)
    if not rank():
        write_json(directory.file("tune.json"), {"report": report, **stamp()})
    return TuneResult(report, directory.path)


def _saying_alarms(monitor: Any, on_progress: OnProgress) -> OnProgress:
    """`on_progress`, which also says once that the alarm was raised."""
    said: list[int] = []

    def tell(progress: Progress) -> None:
        step = None if monitor is None else monitor.alarm_step
        if step is not None and not said:
            said.append(step)
            on_progress(Progress(f"ALARM at step {step}: the model is becoming misaligned"))
        on_progress(progress)

    return tell


def defended_plan(
    base: str,
    rows: Sequence[Row],
    defend: Sequence[str],
    run: Path,
    seed: int,
    options: TuneOptions,
    opening: OpenSettings | None,
    on_progress: OnProgress,
) -> Any:
    """The plan of training on `rows` under the named defences; what they need is made once, into the run directory."""
    from offtarget.tune.defences.registry import defend as apply
    from offtarget.tune.plan import Plan, TrainRow

    plan = Plan(tuple(TrainRow(row.messages) for row in rows))
    if not defend:
        return plan
    from offtarget.workflows.tune_materials import make_materials

    return apply(
        plan,
        defend,
        make_materials(base, rows, defend, run, seed=seed, options=options, opening=opening, on_progress=on_progress),
    )


def training_monitor(
    base: str,
    rows: Sequence[Row],
    run: Path,
    settings: TuneSettings,
    options: TuneOptions,
    opening: OpenSettings | None,
    *,
    stop: bool,
) -> Any:
    """The monitor of a training, writing its readings into `run`."""
    from offtarget.workflows.tune_monitor import make_monitor

    return make_monitor(
        base,
        [row.messages for row in rows],
        probes=options.probes,
        judge=options.judge,
        judge_by=options.judge_by,
        direction=options.direction,
        every=options.every,
        opening=opening,
        stop=stop,
        run=run,
        seed=settings.seed,
    )


def _report(
    manifest: dict[str, Any],
    data: TrainingData,
    notes: tuple[str, ...],
    settings: TuneSettings,
    trained: Trained,
    monitor: Any,
) -> TuneReport:
    base, out = manifest["base"], str(manifest["out"])
    return TuneReport(
        base=base,
        data=str(manifest["data"]),
        out=out,
        name=tuned_name(base, out, settings),
        rows=len(data.rows),
        defences=tuple(manifest["defences"]),
        settings=asdict(settings),
        steps=trained.steps,
        planned=trained.planned,
        kept_step=trained.kept_step,
        loss=None if math.isnan(trained.loss) else trained.loss,
        monitored=monitor is not None,
        alarm_step=None if monitor is None else monitor.alarm_step,
        best_step=None if monitor is None else monitor.best_step,
        checks=trained.checks,
        notes=(*data.notes, *notes),
    )


def tuned_name(base: str, out: str, settings: TuneSettings) -> str:
    """The tuned model as `check` takes it."""
    return f"hf/{out}" if settings.method == "full" else with_adapter(base, out)


def further(settings: TuneSettings, steps: int) -> TuneSettings:
    """The same settings for `steps` more optimiser steps."""
    return replace(settings, max_steps=steps, warmup=0)
