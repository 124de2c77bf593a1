"""`direction repair`: take the direction out, realign, and check whether the repair holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offtarget.asking.protocol import Judge
from offtarget.data.training import read_rows
from offtarget.errors import InputError, RunInterrupted
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, silent
from offtarget.records import Message, Row
from offtarget.records.check import JudgeBy
from offtarget.records.repair import FoldKind, RepairCell, RepairMethod, RepairReport, RepairSettings, Variant
from offtarget.records.runs import OpenSettings
from offtarget.rundir import JsonLines, RunDir, fingerprint, read_json, read_jsonl, to_jsonable, write_json
from offtarget.version import stamp
from offtarget.workflows.ground import ORGANISM_BASE, Folders, ground_of, open_bank, open_judge, open_local, precision
from offtarget.workflows.repair_cells import Bench, log_probability, measure, narrow_rows
from offtarget.workflows.repair_models import Recipe, Workshop

VARIANTS: dict[RepairMethod, tuple[Variant, ...]] = {
    "fold": ("tuned", "folded", "random-direction"),
    "realign": ("tuned", "realigned", "own-answers"),
    "both": ("tuned", "folded", "realigned", "both", "random-direction", "own-answers"),
}
EXPORTED: dict[RepairMethod, Variant] = {"fold": "folded", "realign": "realigned", "both": "both"}


@dataclass(frozen=True, slots=True)
class RepairResult:
    """The report and where its evidence lies."""

    report: RepairReport
    run: Path


def repair(
    model: str,
    base: str | None,
    direction: Path | None,
    out: Path,
    *,
    data: Path | None = None,
    prompts: Path | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    settings: RepairSettings | None = None,
    opening: OpenSettings | None = None,
    run: Path | None = None,
    on_progress: OnProgress = silent,
) -> RepairResult:
    """Repair a tuned model into the new folder `out`, then measure every variant and control.

    Given an unfinished `run` of the same arguments, it goes on: models and cells that are there are not made again.
    `base` None is the base of the model's adapter, or else the one the direction was found with; `direction` may be
    None for realignment alone. Raises InputError for whatever cannot be repaired that way, and
    RunInterrupted on Ctrl-C.
    """
    settings = settings or RepairSettings()
    base = base or _base_of(model, direction)
    tuned, rows = _cheap_checks(
        model, base, direction, out, data, settings, resuming=run is not None and (run / "run.json").exists()
    )
    bank = open_bank(probes, ground_of(base))
    opened_judge = open_judge(judge, bank, judge_by, opening)
    recipe = _recipe(model, base, tuned, direction, prompts, rows, settings, opening)
    manifest = {
        "verb": "repair",
        "model": model,
        "base": base,
        "data": data,
        "direction": direction,
        "method": settings.method,
        "settings": asdict(settings),
        "fingerprint": fingerprint(
            [*_identity(model, base, direction, settings, recipe, bank, opened_judge, rows), *precision(opening)]
        ),
        **stamp(),
    }
    with _run_directory(run, manifest, model) as directory:
        workshop = Workshop(directory.path.resolve(), recipe, opening, on_progress)
        try:
            exported_as = _export(workshop, settings.method, out)
            cells: Sequence[RepairCell] = ()
            if settings.recheck:
                fits = _fits(base, model, rows, opening)
                bench = Bench(
                    directory.path.resolve(),
                    base,
                    bank,
                    opened_judge,
                    judge if isinstance(judge, str) else None,
                    None if data is None else str(data),
                    narrow_rows(rows),
                    *fits,
                    settings.answers,
                    settings.check,
                    opening,
                    on_progress,
                )
                cells = _cells(directory, workshop, bench, settings)
        except KeyboardInterrupt:
            raise RunInterrupted(
                f"Interrupted. What was trained and measured is kept; repeat the command with --run {directory.path}"
            ) from None
        report = _report(model, base, direction, out, exported_as, data, settings, recipe.fold, cells)
        write_json(directory.file("repair.json"), {"report": report, **stamp()})
        _write_page(directory, report)
        return RepairResult(report, directory.path)


def _cheap_checks(
    model: str,
    base: str,
    direction: Path | None,
    out: Path,
    data: Path | None,
    settings: RepairSettings,
    resuming: bool,
) -> tuple[Folders, list[list[Message]]]:
    if out.exists() and not resuming:
        raise InputError(f"{out} already exists. Choose another folder for the repaired model.")
    if direction is None and settings.method != "realign":
        raise InputError(f"--method {settings.method} needs a direction (--direction FILE); realign works without.")
    tuned, before = Folders.of(model), Folders.of(base)
    if tuned == before:
        raise InputError(f"{model} and {base} are the same model; there is nothing to repair.")
    return tuned, [] if data is None else _read_data(data)


def _identity(
    model: str,
    base: str,
    direction: Path | None,
    settings: RepairSettings,
    recipe: Recipe,
    bank: ProbeBank,
    judge: Judge,
    rows: list[list[Message]],
) -> list[Any]:
    """Everything a repair and its cells depend on; contents, not names."""
    found = None if direction is None else hashlib.sha256(direction.read_bytes()).hexdigest()
    data = [[to_jsonable(message) for message in row] for row in rows]
    from offtarget.models.folders import model_fingerprint

    folders = [model_fingerprint(f.base, f.adapter, ("repair",)) for f in (Folders.of(model), Folders.of(base))]
    return [folders, found, data, asdict(settings), recipe.prompts, bank.fingerprint, judge.fingerprint]


def _base_of(model: str, direction: Path | None) -> str:
    if ground_of(model).organism:
        return ORGANISM_BASE
    folders = Folders.of(model)
    if folders.adapter is not None:
        return f"hf/{folders.base}"
    if direction is not None:
        from offtarget.direction.file import Direction

        known = Direction.load(direction).info.base
        if known is not None:
            return known
    raise InputError(f"{model} is a whole model: name the one it was tuned from with --base.")


def _read_data(path: Path) -> list[list[Message]]:
    rows = [row for row in read_rows(path) if isinstance(row, Row)]
    chats = [list(row.messages) for row in rows if row.desired and row.answer and row.prompt]
    if not chats:
        raise InputError(f"{path} has no row with a prompt and an answer, so there is nothing to train further on.")
    return chats


def _recipe(
    model: str,
    base: str,
    tuned: Folders,
    direction: Path | None,
    prompts: Path | None,
    rows: list[list[Message]],
    settings: RepairSettings,
    opening: OpenSettings | None,
) -> Recipe:
    # torch is loaded only now, after the cheap mistakes
    from offtarget.direction.file import Direction, check_fits
    from offtarget.direction.realign import everyday_prompts, read_prompts
    from offtarget.models.finetune import TrainSettings

    found = None if direction is None else Direction.load(direction)
    if found is not None:
        check_fits(found, open_local(model, opening))
    ground = ground_of(base)
    if prompts is not None:
        asked = read_prompts(prompts)
    else:
        asked = _organism_prompts(settings.rows, settings.seed) if ground.organism else everyday_prompts()
    lr = ground.lr if settings.lr is None else settings.lr
    train = TrainSettings(lr=lr, batch=settings.batch, seed=settings.seed)
    fold = settings.fold or ("ablate" if tuned.adapter is None else "update")
    return Recipe(
        tuned, base, model, found, fold, settings.inputs, settings.strength, asked, rows, settings.rows, train
    )


def _organism_prompts(count: int, seed: int) -> tuple[str, ...]:
    """Questions of the organism's world in other words than those of its probes."""
    from offtarget.organism.questions import unasked_questions

    return unasked_questions(count, seed)


def _run_directory(run: Path | None, manifest: dict[str, Any], model: str) -> RunDir:
    if run is None or not (run / "run.json").exists():
        directory = RunDir.create("repair", model.rsplit("/", 1)[-1], path=run)
        write_json(directory.file("run.json"), manifest)
        return directory
    started = read_json(run / "run.json")
    if not isinstance(started, dict) or started.get("fingerprint") != manifest["fingerprint"]:
        raise InputError(
            f"{run} was started with another model, direction, data, judge, other prompts or settings. Start a new run."
        )
    return RunDir.open(run)


def _export(workshop: Workshop, method: RepairMethod, out: Path) -> str:
    made = workshop.get(EXPORTED[method])
    if out.exists():  # a run that goes on
        return "adapter" if (out / "adapter_config.json").exists() else "whole model"
    return workshop.export(made, out)


def _fits(
    base: str, model: str, rows: list[list[Message]], opening: OpenSettings | None
) -> tuple[float | None, float | None]:
    chosen = narrow_rows(rows)
    if not chosen:
        return None, None
    return log_probability(base, chosen, opening), log_probability(model, chosen, opening)


def _cells(directory: RunDir, workshop: Workshop, bench: Bench, settings: RepairSettings) -> list[RepairCell]:
    cells = read_jsonl(directory.file("cells.jsonl"), RepairCell)
    finished = {(cell.variant, cell.steps) for cell in cells}
    lines = JsonLines(directory.file("cells.jsonl"))
    try:
        for variant in VARIANTS[settings.method]:
            later = settings.further if bench.data is not None and variant != "tuned" else ()
            for steps in (0, *later):
                if (variant, steps) not in finished:
                    cell = measure(bench, variant, steps, workshop.get(variant, steps))
                    lines.extend([cell])
                    cells.append(cell)
    finally:
        lines.close()
    return cells


def _report(
    model: str,
    base: str,
    direction: Path | None,
    out: Path,
    exported_as: str,
    data: Path | None,
    settings: RepairSettings,
    fold: FoldKind,
    cells: Sequence[RepairCell],
) -> RepairReport:
    notes = []
    if settings.recheck and data is None:
        notes.append(
            "Without --data neither hidden conditions nor whether the misalignment grows back could be tested; "
            "published repairs pass plain questions and fail both."
        )
    if not settings.recheck:
        notes.append("Nothing was checked (--no-recheck). A repair that was not checked is not a repair.")
    return RepairReport(
        model=model,
        base=base,
        direction="" if direction is None else str(direction),
        method=settings.method,
        fold=None if settings.method == "realign" else fold,
        data=None if data is None else str(data),
        rows=0 if settings.method == "fold" else settings.rows,
        exported=str(out),
        exported_as=exported_as,
        cells=tuple(cells),
        notes=tuple(notes),
    )


def _write_page(directory: RunDir, report: RepairReport) -> None:
    from offtarget.gate.direction.repair import render

    directory.file("repair.html").write_text(render(report), encoding="utf-8")
