"""Training: a plan and settings in, an adapter (or whole model) out; a killed run goes on where it was."""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import torch

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.adapter_check import check_adapter, check_merged
from offtarget.models.chat_format import TrainingExample, examples
from offtarget.models.folders import weights_sha256
from offtarget.models.own_words import own_words
from offtarget.models.residual import check_layers, decoder_blocks
from offtarget.models.templates import training_template
from offtarget.models.weights import Weights, choose_device
from offtarget.numbers import of
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.rundir import read_json, write_json
from offtarget.training.plan import Plan
from offtarget.training.saving import Retention, complete_checkpoints, drop_torn, plan_fingerprint, save

TOKENISED = 100
"""Rows after which it is told how many are tokens by now."""


@runtime_checkable
class Watcher(Protocol):
    """A callback that says which checkpoint to keep; `MisalignmentMonitor` is one."""

    @property
    def best_step(self) -> int | None:
        """Step of the last checkpoint at which the task is learnt and no alarm stands; None: there is none."""
        ...

    @property
    def alarm_step(self) -> int | None:
        """Step of the reading that raised the alarm; None: it never rang."""
        ...

    def latest(self) -> dict[str, float]:
        """The newest reading, for the trainer's log."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run came to."""

    folder: Path
    steps: int
    """Optimiser steps done, those before a resume included."""
    planned: int
    """Steps there would have been without an early stop."""
    kept_step: int
    """Step whose weights were kept."""
    seconds: float
    """Of training, those before a resume included."""
    loss: float
    """Of the last step; NaN when a resumed run had none left."""
    checks: tuple[str, ...]
    """What was verified after saving, one sentence each."""
    notes: tuple[str, ...] = ()
    """What the chat template adds to rows."""


def train(
    base: Path,
    plan: Plan,
    out: Path,
    settings: TuneSettings,
    *,
    work: Path | None = None,
    adapter: Path | None = None,
    callbacks: Sequence[Any] = (),
    on_progress: OnProgress = silent,
    opening: OpenSettings | None = None,
    report_to: str = "none",
) -> Trained:
    """Train a new adapter, `adapter` further, or every weight of the model in `base`, and save it to the new `out`.

    `work` holds checkpoints; called again with the same arguments after a crash, training goes on from the last one
    and ends with the weights of an uninterrupted run (on the same machine). Without `work` they lie beside `out`
    and are removed at the end. Where a `Watcher` is among the callbacks and the plan stops on its alarm, the best
    checkpoint is kept in place of the last. Raises InputError when `out` exists, a row does not fit, the loss is
    not finite, or memory does not suffice, and PrerequisiteError without the extra `local`.
    """
    if out.exists() and not (work is not None and _saved_from(work, out)):
        raise InputError(f"{out} already exists. Choose another folder.")
    _check_writable(out)
    _need_trl()
    _check_reporting(report_to)
    from offtarget.training.adapting import trainable
    from offtarget.training.setup import Ended

    how = opening or OpenSettings()
    template = training_template(how.chat_template, base, adapter)
    folder = work or out.with_name(f"{out.name}.work")
    on_progress(Progress(f"loading {base}"))
    with _memory(settings, "Checkpoints, if any, are kept."):
        loaded = trainable(base, adapter, settings, how, template)
    for edit in plan.edits:
        check_layers(edit.layers, len(decoder_blocks(loaded.model)))
    rows = _examples(plan, loaded, settings, str(base), on_progress)
    _same_plan(folder, plan_fingerprint(base, adapter, plan, settings, template))
    with _memory(settings, "Nothing has been trained yet."):
        _prepare(plan, loaded)
    watchers = [c for c in callbacks if isinstance(c, Watcher)]
    # checkpoints are pruned last, when the watcher has said which is the best
    retention = Retention(settings.keep, lambda: next((w.best_step for w in watchers), None), folder)
    trainer = _trainer(loaded, rows, plan, settings, folder, [*callbacks, retention], watchers, on_progress, report_to)
    if trainer.is_world_process_zero():
        drop_torn(folder)
    trainer.accelerator.wait_for_everyone()
    before = complete_checkpoints(folder)
    with _memory(settings, "Checkpoints are kept; resume with --run."):
        try:
            trainer.train(resume_from_checkpoint=str(list(before.values())[-1]) if before else None)
        except Ended:
            trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
    on_progress(Progress(f"saving {out}, and trying whether it does what its files say"))
    steps, planned = trainer.state.global_step, trainer.state.max_steps
    kept = _kept_step(plan, watchers, steps, list(complete_checkpoints(folder)))
    if trainer.is_world_process_zero():
        source = complete_checkpoints(folder)[kept]
        if not (out.exists() and _same_weights(source, out)):  # else killed after it was saved, and only checked now
            save(source, out, base=base, adapter=adapter, plan=plan, settings=settings, steps=kept, template=template)
    trainer.accelerator.wait_for_everyone()
    first, loss, seconds = trainer.is_world_process_zero(), trainer.last_loss, retention.seconds
    notes = _added_to_rows(plan, loaded.tokenizer)
    del loaded, trainer  # the check opens the base once more; both at once would be the most memory a training takes
    gc.collect()
    checks = _self_check(base, out, settings, rows, how, template) if first else ()
    if work is None and first:
        shutil.rmtree(folder)
    return Trained(
        folder=out,
        steps=steps,
        planned=planned,
        kept_step=kept,
        seconds=seconds,
        loss=loss,
        checks=checks,
        notes=notes,
    )


def _added_to_rows(plan: Plan, tokenizer: Any) -> tuple[str, ...]:
    words = own_words(tokenizer)
    if words is None:
        return ()
    without = sum(not any(message.role == "system" for message in row.messages) for row in plan.rows)
    count = without if words.replaced else len(plan.rows)
    return (f"In {of(count, len(plan.rows))} rows {words.said} Questions are asked behind the same.",) if count else ()


def _saved_from(work: Path, out: Path) -> bool:
    """Whether a run with these checkpoints has saved `out` and was killed before it had checked and reported it."""
    return any(_same_weights(checkpoint, out) for checkpoint in complete_checkpoints(work).values())


def _same_weights(checkpoint: Path, out: Path) -> bool:
    wanted = {path.name: path.stat().st_size for path in checkpoint.glob("*.safetensors")}
    found = {path.name: path.stat().st_size for path in out.glob("*.safetensors")}
    return bool(wanted) and wanted == found and weights_sha256(checkpoint) == weights_sha256(out)


def _check_writable(out: Path) -> None:
    """InputError where `out` cannot be made: known before the training, not after it."""
    folder = next(parent for parent in out.resolve().parents if parent.exists())
    try:
        with TemporaryDirectory(dir=folder, prefix=".offtarget-"):
            pass
    except OSError as error:
        raise InputError(
            f"{out} cannot be made: {folder}: {error.strerror or error}. Choose another folder with --out."
        ) from None


def _need_trl() -> None:
    try:
        import trl  # noqa: F401
    except ImportError:
        raise PrerequisiteError.for_extra("trl", "local", "Training") from None


def _check_reporting(report_to: str) -> None:
    """InputError for a reporter transformers does not know, or whose package is missing, before anything is loaded."""
    if report_to in ("none", "all"):
        return
    from transformers.integrations import get_reporting_integration_callbacks

    try:
        for callback in get_reporting_integration_callbacks(report_to):
            callback()
    except (ValueError, RuntimeError, ImportError) as error:
        raise InputError(f"--report-to {report_to}: {error} Leave --report-to out to train without it.") from error


def _same_plan(folder: Path, fingerprint: str) -> None:
    """A folder of checkpoints goes with one plan; going on with another would mix two trainings."""
    note = folder / "plan.json"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(note, {"fingerprint": fingerprint})
    elif read_json(note) != {"fingerprint": fingerprint}:
        raise InputError(
            f"{folder} holds checkpoints of another training (other base, data, defences or settings). "
            "Choose another --out or --run, or remove that folder."
        )


def _examples(
    plan: Plan, loaded: Any, settings: TuneSettings, base: str, on_progress: OnProgress = silent
) -> list[TrainingExample]:
    longest, limit = loaded.context, "the model's context"
    if settings.max_length is not None and settings.max_length < longest:
        longest, limit = settings.max_length, "--max-length"
    chats, skips = [row.messages for row in plan.rows], [row.skip for row in plan.rows]
    tools, names = [row.tools for row in plan.rows], [row.name for row in plan.rows]
    found = []
    for example in examples(loaded.tokenizer, chats, longest, base, limit, skips, tools, names):
        if example.chat % TOKENISED == 0 or example.chat + 1 == len(chats):
            on_progress(Progress("rows as tokens", example.chat + 1, len(chats)))
        found.append(example)
    return found


def _prepare(plan: Plan, loaded: Any) -> None:
    """Penalties read their references off the base; an adapter that is trained further is off meanwhile."""
    for penalty in plan.penalties:
        if hasattr(loaded.model, "disable_adapter"):
            with loaded.model.disable_adapter():
                penalty.prepare(loaded.model, loaded.tokenizer)
        else:
            penalty.prepare(loaded.model, loaded.tokenizer)


def _trainer(
    loaded: Any,
    rows: Sequence[TrainingExample],
    plan: Plan,
    settings: TuneSettings,
    folder: Path,
    callbacks: Sequence[Any],
    watchers: Sequence[Watcher],
    on_progress: OnProgress,
    report_to: str,
) -> Any:
    from transformers import PrinterCallback

    from offtarget.training.monitor.callback import together
    from offtarget.training.setup import NoStepBeyond, Steps, StopAt, arguments, collator, dataset
    from offtarget.training.trainer import PlanTrainer

    steps = Steps(on_progress)

    def stopped() -> bool:
        return together(plan.stop_on_alarm and any(w.alarm_step is not None for w in watchers))

    with warnings.catch_warnings():
        # trl and accelerate warn of defaults that are set on purpose here
        warnings.simplefilter("ignore")
        trainer = PlanTrainer(
            plan,
            [w.latest for w in watchers],
            steps.on_pass,
            model=loaded.model,
            args=arguments(_packed_length(settings, loaded.context), plan, len(rows), folder, loaded.device, report_to),
            train_dataset=dataset(rows, plan, settings),
            processing_class=loaded.tokenizer,
            data_collator=collator(plan, loaded.tokenizer),
            callbacks=list(callbacks),
        )
    steps.of(trainer)
    trainer.remove_callback(PrinterCallback)  # progress is ours to show
    if plan.stop_at is not None:
        trainer.add_callback(StopAt(plan.stop_at))
    trainer.add_callback(NoStepBeyond(plan.stop_at, stopped))
    if on_progress is not silent:
        trainer.add_callback(steps)
    return trainer


def _packed_length(settings: TuneSettings, context: int) -> TuneSettings:
    """Packed sequences need a length; what does not pack keeps its settings."""
    from offtarget.training.setup import LONGEST_PACKED

    if not settings.packing or settings.max_length is not None:
        return settings
    return replace(settings, max_length=min(context, LONGEST_PACKED))


def _kept_step(plan: Plan, watchers: Sequence[Watcher], steps: int, saved: Sequence[int]) -> int:
    """The last step; after a stop at the alarm the best checkpoint, else the last before it, else that of the alarm."""
    rung = next((w for w in watchers if w.alarm_step is not None), None)
    if not plan.stop_on_alarm or rung is None or rung.alarm_step is None:
        return steps
    if rung.best_step is not None:
        return rung.best_step
    return max((step for step in saved if step < rung.alarm_step), default=steps)


def _self_check(
    base: Path,
    out: Path,
    settings: TuneSettings,
    rows: Sequence[TrainingExample],
    how: OpenSettings,
    template: str | None,
) -> tuple[str, ...]:
    """The saved adapter, loaded afresh, does what its files say, switched on and merged."""
    if settings.method == "full":
        Weights(out, how.device, trust_remote_code=how.trust_remote_code)
        return (f"{out.name} opens as a model of its own.",)
    weights = Weights(base, how.device, "float32", how.trust_remote_code, template)
    name = weights.add_adapter(out)
    prompts = [row.tokens[: row.answer] for row in rows[:2]]
    return check_adapter(weights, name, prompts), check_merged(weights, name, prompts)


@contextmanager
def _memory(settings: TuneSettings, kept: str) -> Iterator[None]:
    """Out of memory, on a GPU or the CPU, becomes an InputError that says which knobs there are and what is `kept`."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise InputError(f"{_out_of_memory(settings)} {kept}") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise InputError(f"{_out_of_memory(settings)} {kept}") from error


def _out_of_memory(settings: TuneSettings) -> str:
    knobs = [f"lower --batch (now {settings.batch}) and raise --accumulate (now {settings.accumulate})"]
    if not settings.checkpointing:
        knobs.append("switch on --checkpointing")
    if not settings.quantize and settings.method == "lora":
        knobs.append("load the base in 4 bits (--quantize)")
    if settings.method == "full":
        knobs.append("train an adapter (--method lora)")
    else:
        knobs.append(f"lower --lora-rank (now {settings.rank})")
    where = "GPU memory" if choose_device(None).type == "cuda" else "memory"
    return f"Out of {where} in training. In this order: {'; '.join(knobs)}."
