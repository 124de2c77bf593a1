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
from offtarget.training.batches import ByLength
from offtarget.training.loss import IGNORED, token_losses
from offtarget.training.plan import Penalty, Plan

__all__ = ["IGNORED", "FixedParts", "PlanTrainer", "token_parts"]
Extra = Callable[[], dict[str, float]]
"""More values for the log, e.g. the monitor's latest reading."""


class PlanTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains what a plan says; with a plan of rows alone it is SFTTrainer."""

    def __init__(
        self,
        plan: Plan,
        extras: Sequence[Extra] = (),
        on_pass: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        """`on_pass` is called after each pass of a step."""
        self.plan = plan
        self.last_loss = math.nan
        """Of the last step, or of its passes so far: nats per learned token, with what penalties add."""
        self.passes = 0
        """Of the last step, so far."""
        self._step_of_loss: int | None = None
        self._extras, self._on_pass = extras, on_pass
        self._penalty_values: dict[str, list[float]] = {}
        super().__init__(**options)
        self._learned_alone = self.args.device.type == "cpu" and not (self.args.packing or self.aux_loss_enabled)

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
        self._add_to_step(float(loss))
        return loss

    def _add_to_step(self, share: float) -> None:
        """A pass brings its share of the step's loss: the shares of a step sum to the mean over its learned tokens."""
        if self.state.global_step != self._step_of_loss:
            self._step_of_loss, self.last_loss, self.passes = self.state.global_step, 0.0, 0
        self.last_loss += share
        self.passes += 1
        if not math.isfinite(self.last_loss):
            raise InputError(
                f"The loss is {self.last_loss} at step {self.state.global_step + 1}; training has diverged. "
                f"Lower the learning rate (--lr, now {self.args.learning_rate:g}); checkpoints before it are kept."
            )
        if self._on_pass is not None:
            self._on_pass()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of SFTTrainer, with every token's multiplied by the weight of its row where rows have weights.

        On a GPU without weights SFTTrainer computes it itself, with a kernel of its own for learned tokens alone. On a
        CPU it would run the output layer at every token.
        """
        weights = inputs.pop("weights", None)
        if weights is None and (return_outputs or not self._learned_alone):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        losses, row = token_losses(self.model, model, inputs)
        if weights is not None:
            losses = losses * weights[row]
        tokens = max(1, len(losses)) if num_items_in_batch is None else num_items_in_batch
        loss = losses.sum() / tokens
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The usual order of rows, those of one step by length; packed ones are of one length anyway."""
        rows = self.train_dataset if train_dataset is None else train_dataset
        if self.args.packing:
            return super()._get_train_sampler(train_dataset)
        a_step = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return ByLength(rows, [len(tokens) for tokens in rows["input_ids"]], a_step, seed)

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
        value = torch.zeros((), device=self.args.device)
        parts = penalty.losses(model, self.state.global_step)
        while True:
            with self.compute_loss_context_manager():
                part = next(parts, None)
            if part is None:
                break
            self.accelerator.backward(part / self.args.gradient_accumulation_steps)
            value += part.detach()
        self._penalty_values.setdefault(penalty.name, []).append(float(value))
        shared: Tensor = value / self.args.gradient_accumulation_steps
        return shared


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
