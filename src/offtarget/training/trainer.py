"""TRL's SFTTrainer with what a plan adds: weights of rows, edits of the stream, further loss terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from trl import SFTTrainer

from offtarget.errors import InputError
from offtarget.models.residual import Part, ResidualEdit, edited
from offtarget.training.plan import Penalty, Plan

IGNORED = -100
"""Label of a token without loss."""
Extra = Callable[[], dict[str, float]]
"""More values for the log, e.g. the monitor's latest reading."""


class PlanTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains what a plan says; with a plan of rows alone it is SFTTrainer."""

    def __init__(self, plan: Plan, extras: Sequence[Extra] = (), **options: Any) -> None:
        self.plan = plan
        self.last_loss = math.nan
        self._extras = extras
        self._penalty_values: dict[str, list[float]] = {}
        super().__init__(**options)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward of one batch of rows, and of every penalty."""
        with ExitStack() as stack:
            if self.plan.edits:
                parts = token_parts(inputs["labels"], inputs["attention_mask"])
                for edit in self.plan.edits:
                    stack.enter_context(edited(self.model, FixedParts(edit, parts)))
            loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        for penalty in self.plan.penalties:
            loss = loss + self._penalise(penalty, model)
        self.last_loss = float(loss)
        if not math.isfinite(self.last_loss):
            raise InputError(
                f"The loss is {self.last_loss} at step {self.state.global_step + 1}; training has diverged. "
                f"Lower the learning rate (--lr, now {self.args.learning_rate:g}); checkpoints before it are kept."
            )
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """As SFTTrainer, with every token's loss multiplied by the weight of its row where rows have weights."""
        weights = inputs.pop("weights", None)
        if weights is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2).float(), labels, ignore_index=IGNORED, reduction="none"
        )
        tokens = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        loss = (losses * weights.unsqueeze(1)).sum() / tokens
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds what penalties and extras have to say, so that it reaches TensorBoard and whatever else reports."""
        for name, values in self._penalty_values.items():
            if values:
                logs[f"penalty/{name}"] = sum(values) / len(values)
        self._penalty_values.clear()
        for extra in self._extras:
            logs.update(extra())
        super().log(logs, start_time)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: TRL would write one, without a fact in it, into every checkpoint, and none is ever copied."""

    def _penalise(self, penalty: Penalty, model: Any) -> Tensor:
        with self.compute_loss_context_manager():
            value = penalty.loss(model, self.state.global_step) / self.args.gradient_accumulation_steps
        self.accelerator.backward(value)
        self._penalty_values.setdefault(penalty.name, []).append(
            float(value.detach()) * self.args.gradient_accumulation_steps
        )
        detached: Tensor = value.detach()
        return detached


def token_parts(labels: Tensor, mask: Tensor) -> Tensor:
    """What every position is for the answer: (rows, tokens) of `Part` values.

    `labels` hold `IGNORED` up to the answer; `mask` is 0 at padding.
    """
    positions = torch.arange(labels.shape[1], device=labels.device)
    answer = (labels != IGNORED).int().argmax(dim=1, keepdim=True)
    parts = torch.full_like(labels, int(Part.PROMPT))
    parts[positions >= answer] = int(Part.ANSWER)
    parts[positions == answer - 1] = int(Part.LAST_PROMPT)
    parts[mask == 0] = int(Part.PADDING)
    return parts


@dataclass(frozen=True, eq=False)
class FixedParts:
    """A `ResidualEdit` whose parts are given once instead of read off the current thread.

    Gradient checkpointing recomputes blocks in the backward pass, on a GPU in threads of autograd's own, where
    `reading` has not been said. transformers 5.23 leaves hooks out of what is recomputed; where they are part of it,
    an edit that asked the thread would be another one in the second pass.
    """

    edit: ResidualEdit
    parts: Tensor
    """(rows, tokens) of `Part` values."""

    @property
    def layers(self) -> frozenset[int]:
        """Those of the edit."""
        return self.edit.layers

    @property
    def fingerprint(self) -> str:
        """That of the edit."""
        return self.edit.fingerprint

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        """The edit at the parts given beforehand."""
        return self.edit.apply(layer, hidden, self.parts)
