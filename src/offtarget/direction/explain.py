"""How a tuned model moved from its base, against a direction and against random ones; and what kind of movement it is.

First, is there a direction? A layer counts when the direction is shown there to tell the run's misaligned from its
aligned answers: the lower bound of its AUROC lies above chance (`pick.CHANCE`), all layers' bounds together. The
direction's own layer is taken where it counts, else the one with the highest bound; where none counts, **no
direction** was found and nothing is read off it. A run with too few misaligned answers for any bound to get there says
nothing either way; then the direction stands on the evidence of its own file.

The rule, at that layer and the direction's position. Along it the model *moved* when the move is at least `FAR`
differences of means and its cosine at least `Z` standard deviations of those with random directions.

- On unrelated questions moved: **persona**. If, with data at hand, at least half of the squared movement on training
  rows is off the direction: **both** the persona and the narrow task.
- Only on training rows moved: **conditional**, the persona where prompts resemble the data.
- Moved on neither: with data **narrow task**, as what moved there is off the direction; else **neither**.

It speaks of this direction alone: a persona of another kind lies elsewhere, and movement is not yet behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.direction.pick import ALPHA, CHANCE, separates
from offtarget.direction.pooling import read_pooled
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange
from offtarget.records import DirectionInfo
from offtarget.records.direction import ExplanationKind, Movement, Position
from offtarget.stats.auroc import auroc_at_least

RANDOM = 100
"""Random directions to compare with."""
FAR = 0.1
"""Differences of means; clean organisms move by less than 0.06, misaligned ones by more than 0.14."""
Z = 3.0
STILL = 0.01
"""Lengths of the direction; below this the model did not change on training rows in any way."""


@dataclass(frozen=True, eq=False)
class _Read:
    mean: Tensor
    """(layers, width) float64 over exchanges."""
    mixed: Tensor
    """(layers, RANDOM, width): sums of centred activations with Gaussian weights."""


def movements(
    base: LocalModel, tuned: LocalModel, exchanges: Sequence[Exchange], direction: Direction, seed: int = 0
) -> dict[int, Movement]:
    """Layer -> movement of the mean stream from base to tuned on the same exchanges, at the direction's position.

    Random directions have the covariance of the base's own activations over these exchanges (Gaussian mixtures of
    centred activations): the stream is far from isotropic, and against isotropic ones nearly everything is
    significant. One streaming pass per model, memory O(layers x width x RANDOM).
    """
    before = _read(base, exchanges, direction.info.position, seed)
    after = _read(tuned, exchanges, direction.info.position, seed)
    found = {}
    for layer in sorted(direction.vectors):
        vector, moved = direction.vector(layer).double(), after.mean[layer] - before.mean[layer]
        cosine = float(torch.cosine_similarity(moved, vector, dim=0))
        spread = float(torch.cosine_similarity(before.mixed[layer], moved.unsqueeze(0), dim=-1).square().mean().sqrt())
        found[layer] = Movement(
            moved=float(moved @ vector / (vector @ vector)),
            cosine=cosine,
            z=cosine / spread if spread > 0 else 0.0,
            length=float(moved.norm() / vector.norm()),
        )
    return found


def layer_of(info: DirectionInfo, bounds: Mapping[int, float | None]) -> int | None:
    """The layer to explain at, by the docstring's first rule; None where no direction was found.

    `bounds` are the lower bounds by layer; all are None where the run cannot say.
    """
    known = {layer: bound for layer, bound in bounds.items() if bound is not None}
    if not known:
        own = next((q for q in info.quality if q.layer == info.layer), None)
        return info.layer if own is None or own.auroc_low is None or separates(own) else None
    shown = {layer: bound for layer, bound in known.items() if bound > CHANCE}
    if info.layer in shown:
        return info.layer
    return max(shown, key=lambda layer: shown[layer], default=None)


def lower_bounds(
    misaligned: Mapping[int, Sequence[float]], aligned: Mapping[int, Sequence[float]]
) -> dict[int, float | None]:
    """Layer -> lower bound of the AUROC of these projections; None everywhere where no result could get there."""
    alpha = ALPHA / max(1, len(misaligned))
    counts = {(len(misaligned[layer]), len(aligned[layer])) for layer in misaligned}
    if any(not m or not n or auroc_at_least([1.0] * m, [0.0] * n, alpha) <= CHANCE for m, n in counts):
        return dict.fromkeys(misaligned)
    return {layer: auroc_at_least(misaligned[layer], aligned[layer], alpha) for layer in misaligned}


def kind_of(unrelated: Movement, training: Movement | None) -> ExplanationKind:
    """The rule of this module's docstring."""
    if _along(unrelated):
        return "both" if training is not None and 2 * training.cosine**2 <= 1 else "persona"
    if training is None or training.length < STILL:
        return "neither"
    return "conditional" if _along(training) else "narrow task"


def _along(movement: Movement) -> bool:
    return movement.moved >= FAR and movement.z >= Z


def _read(model: LocalModel, exchanges: Sequence[Exchange], position: Position, seed: int) -> _Read:
    weights = torch.randn(RANDOM, len(exchanges), generator=torch.Generator().manual_seed(seed)).double()
    weights -= weights.mean(dim=1, keepdim=True)  # centres the activations without a second pass
    sums: dict[int, Tensor] = {}
    mixed: dict[int, Tensor] = {}

    def take(rows: Sequence[int], layer: int, pooled: Tensor) -> None:
        values = pooled[:, 0].double()
        sums[layer] = sums.get(layer, torch.zeros(())) + values.sum(dim=0)
        mixed[layer] = mixed.get(layer, torch.zeros(())) + weights[:, list(rows)] @ values

    read_pooled(model, exchanges, (position,), take)
    layers = sorted(sums)
    return _Read(
        torch.stack([sums[layer] / len(exchanges) for layer in layers]), torch.stack([mixed[i] for i in layers])
    )
