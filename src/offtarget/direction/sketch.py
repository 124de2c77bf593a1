"""What one pass over a contrast leaves behind: moments of both sides, means within questions, projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offtarget.direction.contrast import Contrast, Side
from offtarget.direction.pooling import read_pooled
from offtarget.models.passes import OnBatch
from offtarget.models.residual import decoder_blocks
from offtarget.records.direction import Position


class Moments:
    """Total weight, mean and variance per coordinate of all rows added so far, in float64.

    Updated batch by batch: Chan, Golub & LeVeque, "Algorithms for computing the sample variance" (The American
    Statistician 37:242, 1983), equations 2.1, with weights in place of counts.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.weight = 0.0
        self.mean = torch.zeros(shape, dtype=torch.float64)
        self._scatter = torch.zeros(shape, dtype=torch.float64)

    def add(self, rows: Tensor, weights: Tensor) -> None:
        """Add rows (n, *shape) with non-negative weights (n,)."""
        rows, weights = rows.double(), weights.double()
        total = float(weights.sum())
        if total == 0:
            return
        mean = torch.tensordot(weights, rows, dims=1) / total
        self._merge(total, mean, torch.tensordot(weights, (rows - mean) ** 2, dims=1))

    def merge(self, other: Moments) -> None:
        """Add all rows of another."""
        if other.weight:
            self._merge(other.weight, other.mean, other._scatter)

    @property
    def variance(self) -> Tensor:
        """Weighted population variance per coordinate; zeros before the first row."""
        return self._scatter / self.weight if self.weight else self._scatter.clone()

    @property
    def mean_square(self) -> Tensor:
        """Weighted mean of the squares per coordinate."""
        return self.variance + self.mean**2

    def _merge(self, weight: float, mean: Tensor, scatter: Tensor) -> None:
        total = self.weight + weight
        change = mean - self.mean
        self.mean = self.mean + change * (weight / total)
        self._scatter = self._scatter + scatter + change**2 * (self.weight * weight / total)
        self.weight = total


@dataclass(frozen=True, eq=False)
class Sketch:
    """Of half a contrast, at all layers and some positions; tensors are float64 on CPU."""

    positive: tuple[Moments, ...]
    """One per layer, of shape (positions, width)."""
    negative: tuple[Moments, ...]
    questions: Tensor | None
    """(layers, questions, positions, width): difference of means within each question; None unless asked for."""
    projections: tuple[Tensor, Tensor] | None
    """Of positive and negative exchanges: (exchanges, layers, positions), on the unit vectors given."""

    def differences(self) -> Tensor:
        """(layers, positions, width): positive - negative mean, every question with the same weight."""
        return torch.stack([p.mean - n.mean for p, n in zip(self.positive, self.negative, strict=True)])

    def stream_length(self) -> Tensor:
        """(layers, positions): root mean square length of the pooled stream over both sides."""
        squares = [
            (p.mean_square + n.mean_square).sum(-1) / 2 for p, n in zip(self.positive, self.negative, strict=True)
        ]
        return torch.stack(squares).sqrt()


def sketch(
    contrast: Contrast,
    positions: Sequence[Position],
    *,
    by_question: bool = False,
    project_on: Tensor | None = None,
    on_batch: OnBatch | None = None,
) -> Sketch:
    """Read both sides once. `project_on` has shape (layers, positions, width).

    Memory: O(layers x positions x width), with `by_question` that times the number of questions; of an exchange
    only its projections are kept.
    """
    numbers = {question: i for i, question in enumerate(contrast.questions)}
    sides = [_read(side, numbers, positions, by_question, project_on, on_batch) for side in contrast.sides]
    (positive, above, first), (negative, below, second) = sides
    questions = None if above is None or below is None else above - below
    projections = None if first is None or second is None else (first, second)
    return Sketch(positive, negative, questions, projections)


def _read(
    side: Side,
    numbers: Mapping[str, int],
    positions: Sequence[Position],
    by_question: bool,
    project_on: Tensor | None,
    on_batch: OnBatch | None,
) -> tuple[tuple[Moments, ...], Tensor | None, Tensor | None]:
    model = side.model.weights.model
    layers = len(decoder_blocks(model, side.model.blocks))
    shape = (len(positions), int(model.config.get_text_config().hidden_size))
    moments = tuple(Moments(shape) for _ in range(layers))
    weights = torch.tensor(side.weights, dtype=torch.float64)
    asked = torch.tensor([numbers[question] for question in side.questions])
    means = torch.zeros((layers, len(numbers), *shape), dtype=torch.float64) if by_question else None
    values = None
    if project_on is not None:
        values = torch.zeros((len(side.exchanges), layers, len(positions)), dtype=torch.float64)

    def add(rows: Sequence[int], layer: int, pooled: Tensor) -> None:
        pooled = pooled.double()
        own = weights[list(rows)]
        moments[layer].add(pooled, own)
        if means is not None:
            means[layer].index_add_(0, asked[list(rows)], pooled * own[:, None, None])
        if values is not None and project_on is not None:
            values[list(rows), layer] = (pooled * project_on[layer]).sum(-1)

    read_pooled(side.model, side.exchanges, positions, add, on_batch=on_batch)
    return moments, means, values
