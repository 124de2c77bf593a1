"""Projections on a direction: how far along it a model's residual stream lies.

A projection is <h, v> / |v|^2, averaged over the chosen tokens: 1 is one difference of means, the unit of strength in
steering. Zero is the origin of activation space, which means nothing by itself: only differences of projections at
the same layer and position do. Sign: + points to misaligned, tuned, or the trait (`DirectionInfo`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from offtarget.direction.file import Direction, check_fits
from offtarget.direction.intervene import POSITIONS
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Batch, Exchange, OnBatch, exchange_batches, read_exchanges
from offtarget.models.residual import reading, watched
from offtarget.records.direction import Position


@dataclass(frozen=True, eq=False)
class Projections:
    """One number per exchange and layer."""

    layers: tuple[int, ...]
    values: Tensor
    """(exchanges, layers) float64 on CPU, in the order of the exchanges; NaN where no token is at the position."""

    def at(self, layer: int) -> Tensor:
        """(exchanges,) at one layer. InputError when the direction has no such layer."""
        if layer not in self.layers:
            raise InputError(f"The direction has no layer {layer}; it has {list(self.layers)}.")
        return self.values[:, self.layers.index(layer)]


def project(
    model: LocalModel,
    exchanges: Sequence[Exchange],
    direction: Direction,
    *,
    position: Position | None = None,
    on_batch: OnBatch | None = None,
) -> Projections:
    """Read exchanges with a model and project its stream on a direction at every layer it has, in one pass.

    `position` is the direction's own by default. Memory is O(exchanges x layers): no activation is kept. Raises
    InputError when the direction does not fit the model, and when an exchange does not fit its context.
    """
    check_fits(direction, model)
    meter = _Meter(direction, position or direction.info.position, len(exchanges), model.weights.device)
    layers = frozenset(meter.layers)
    read_exchanges(model, exchanges, on_layer=meter.take, layers=layers, on_batch=on_batch)
    return Projections(meter.layers, meter.values)


def project_batches(
    model: Any,
    batches: Iterable[Batch],
    direction: Direction,
    *,
    position: Position | None = None,
    blocks: str | None = None,
) -> Projections:
    """The same for any transformers or PEFT model, also one that is being trained: no gradients, dropout off.

    `batches` come from `exchange_batches`; afterwards the model is in the mode it was in before. Raises InputError
    for a direction of another width.
    """
    batches = list(batches)
    rows = sum(len(batch.rows) for batch in batches)
    meter = _Meter(direction, position or direction.info.position, rows, model.device)
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                watch = partial(meter.take, batch)
                with reading(batch.parts), watched(model, watch, frozenset(meter.layers), blocks):
                    model(input_ids=batch.tokens, use_cache=False, logits_to_keep=1)
    finally:
        for module in trained:
            module.training = True
    return Projections(meter.layers, meter.values)


class DriftMonitor:
    """How far a model in training has moved along a direction, on fixed exchanges; cheap enough for every few steps.

    One pass over the exchanges per reading (32 short ones are plenty to see a trend). The reference is the model as
    it was when the monitor was made, normally before the first step.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        exchanges: Sequence[Exchange],
        direction: Direction,
        *,
        position: Position | None = None,
        blocks: str | None = None,
    ) -> None:
        """`model` is any transformers or PEFT model. InputError when direction or exchanges do not fit it."""
        if not exchanges:
            raise InputError("There are no exchanges to watch the model on. Give at least one prompt.")
        config = model.config.get_text_config()
        context = int(getattr(config, "max_position_embeddings", 0) or 2**31)
        self._batches = exchange_batches(tokenizer, exchanges, config.model_type, context, model.device)
        self._direction, self._position, self._blocks = direction, position, blocks
        self._reference = self._project(model)

    def read(self, model: Any) -> dict[int, float]:
        """Layer -> mean over exchanges of projection now minus reference, in differences of means."""
        moved = (self._project(model).values - self._reference.values).nanmean(dim=0)
        return dict(zip(self._reference.layers, moved.tolist(), strict=True))

    def _project(self, model: Any) -> Projections:
        return project_batches(model, self._batches, self._direction, position=self._position, blocks=self._blocks)


class _Meter:
    """Takes the stream layer by layer and keeps one number per exchange."""

    def __init__(self, direction: Direction, position: Position, exchanges: int, device: torch.device) -> None:
        self.layers = tuple(sorted(direction.vectors))
        self.values = torch.full((exchanges, len(self.layers)), torch.nan, dtype=torch.float64)
        self._parts = torch.tensor([int(p) for p in POSITIONS[position]], device=device)
        vectors = {layer: direction.vector(layer) for layer in self.layers}
        if zero := [layer for layer, v in vectors.items() if not v.any()]:
            raise InputError(f"The direction is zero at layer {zero[0]}; there is nothing to project on.")
        self._scaled = {layer: (v / (v @ v)).to(device) for layer, v in vectors.items()}

    def take(self, batch: Batch, layer: int, stream: Tensor) -> None:
        scaled = self._scaled[layer]
        if stream.shape[-1] != scaled.shape[0]:
            raise InputError(
                f"The direction has width {scaled.shape[0]}, the model's residual stream {stream.shape[-1]}. "
                "Find a direction in this model."
            )
        along = stream.float() @ scaled  # (rows, tokens)
        chosen = torch.isin(batch.parts.long(), self._parts)
        mean = torch.where(chosen, along, 0.0).double().sum(dim=1) / chosen.sum(dim=1)
        self.values[list(batch.rows), self.layers.index(layer)] = mean.cpu()
