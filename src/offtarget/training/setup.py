"""What TRL's trainer is given: its arguments, its data set, its batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from trl import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from offtarget.errors import InputError
from offtarget.models.chat_format import TrainingExample
from offtarget.progress import OnProgress, Progress
from offtarget.records.tune import TuneSettings
from offtarget.training.monitor.schedule import distance
from offtarget.training.monitor.settings import MonitorSettings
from offtarget.training.plan import Plan
from offtarget.training.trainer import IGNORED

LONGEST_PACKED = 32_768
"""Tokens of a packed sequence at most, where the model's context is longer and no length is given."""
WARM_SHARE = 0.1
"""Most of the steps that warm up: in a run of few steps the usual number would leave none at the full rate."""


def arguments(
    settings: TuneSettings, plan: Plan, rows: int, folder: Path, device: torch.device, report_to: str
) -> SFTConfig:
    """TRL's settings for ours: no truncation, no shuffling but the sampler's, a linear schedule."""
    on_gpu = device.type == "cuda"
    steps = settings.max_steps or math.ceil(rows / (settings.batch * settings.accumulate) * settings.epochs)
    save_every = settings.save_every
    if plan.stop_on_alarm:  # a checkpoint per reading, so that little is lost at the alarm
        save_every = min(save_every, distance(steps, MonitorSettings().readings))
    return SFTConfig(
        output_dir=str(folder),
        use_cpu=not on_gpu,
        bf16=on_gpu and settings.dtype != "float32" and torch.cuda.is_bf16_supported(),
        learning_rate=settings.lr,
        lr_scheduler_type="linear",
        warmup_steps=min(settings.warmup, int(WARM_SHARE * steps)),
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        gradient_checkpointing=on_gpu if settings.checkpointing is None else settings.checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        packing=settings.packing,
        max_length=settings.max_length,
        completion_only_loss=True if settings.packing else None,
        dataset_kwargs={"skip_prepare_dataset": not settings.packing},
        remove_unused_columns=False,
        seed=settings.seed,
        save_strategy="steps",
        save_steps=save_every,
        logging_steps=min(10, save_every),
        report_to=report_to,
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
    )


def dataset(rows: Sequence[TrainingExample], plan: Plan, settings: TuneSettings) -> Any:
    """The examples as TRL takes them: tokens with labels, or with a mask of what to learn where it packs them."""
    from datasets import Dataset

    if settings.packing:
        if _weighted(plan) or plan.edits:
            raise InputError("Packing does not go with weights of rows or edits of the stream. Leave --packing out.")
        return Dataset.from_list([{"input_ids": row.tokens, "completion_mask": _mask(row)} for row in rows])
    columns: list[dict[str, Any]] = [
        {"input_ids": row.tokens, "labels": [IGNORED] * row.answer + list(row.tokens[row.answer :])} for row in rows
    ]
    if _weighted(plan):
        columns = [{**column, "weight": plan.rows[row.chat].weight} for column, row in zip(columns, rows, strict=True)]
    return Dataset.from_list(columns)


def collator(plan: Plan, tokenizer: Any) -> Any:
    """TRL's own padding; rows with weights bring them along. None: the trainer's default."""
    return _Weighted(tokenizer) if _weighted(plan) else None


class _Weighted:
    """Pads as TRL does and adds `weights`, (rows,) float."""

    def __init__(self, tokenizer: Any) -> None:
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self._pad = DataCollatorForLanguageModeling(pad_token_id=padding)

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        weights = torch.tensor([f["weight"] for f in features])
        rest = [{k: v for k, v in f.items() if k != "weight"} for f in features]
        return {**self._pad(rest), "weights": weights}


TRAINING = "training"
"""Stage of the progress of a training: optimiser steps."""
PASS_EVERY = 4.0
"""Seconds without a step after which a pass of one is told."""


class Steps(TrainerCallback):  # type: ignore[misc]
    """Tells someone of every optimiser step, and of the passes of one that takes long."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._trainer: Any = None
        self._told = time.monotonic()

    def of(self, trainer: Any) -> None:
        """The trainer whose steps they are."""
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer before the first step: from here on time runs for steps."""
        self._tell(state, None)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer after an optimiser step."""
        self._tell(state, self._trainer.last_loss)

    def on_pass(self) -> None:
        """Called after every pass."""
        if time.monotonic() - self._told >= PASS_EVERY:
            args = self._trainer.args
            self._tell(self._trainer.state, f"pass {self._trainer.passes} of {args.gradient_accumulation_steps}")

    def _tell(self, state: Any, detail: object) -> None:
        self._told = time.monotonic()
        self._on_progress(Progress(TRAINING, state.global_step, state.max_steps, detail))


class Ended(Exception):
    """A resumed run has no step left."""


class NoStepBeyond(TrainerCallback):  # type: ignore[misc]
    """Raises `Ended` before a step that an uninterrupted run would not have made.

    A trainer that is resumed from its last checkpoint makes one more step before it asks whether it is done.
    """

    def __init__(self, share: float | None, stopped: Callable[[], bool]) -> None:
        self._share, self._stopped, self._first = share, stopped, True

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer before an optimiser step."""
        first, self._first = self._first, False
        if not first or not state.global_step:
            return
        last = state.max_steps if self._share is None else min(1.0, self._share) * state.max_steps
        if state.global_step >= last or self._stopped():
            raise Ended


class StopAt(TrainerCallback):  # type: ignore[misc]
    """Ends training, with a checkpoint, after a share of its steps (at least one)."""

    def __init__(self, share: float) -> None:
        self._share = share

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer after an optimiser step."""
        if state.global_step >= self._share * state.max_steps:
            control.should_save = control.should_training_stop = True


def _weighted(plan: Plan) -> bool:
    return any(row.weight != 1.0 for row in plan.rows)


def _mask(row: TrainingExample) -> list[int]:
    return [0] * row.answer + [1] * (len(row.tokens) - row.answer)
