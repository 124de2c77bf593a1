"""Steering: a multiple of the direction is added to the residual stream (Turner et al., arXiv 2308.10248)."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.direction.intervene.edit import POSITIONS, PositionedEdit, chosen_layers, finite
from offtarget.models.residual import Part


class Steer(PositionedEdit):
    """h <- h + strength * v at the chosen layers (by default the direction's own) and positions.

    v is the direction's mean difference as stored, so strength 1 is one difference of means, and + points to
    misaligned, tuned or the trait. Strength 0 leaves the stream bit for bit as it is. InputError for a layer
    without a vector and for numbers that are not finite.
    """

    def __init__(
        self,
        direction: Direction,
        strength: float,
        layers: Iterable[int] | None = None,
        positions: frozenset[Part] = POSITIONS["all"],
    ) -> None:
        self.strength = finite(strength, "strength")
        wanted = chosen_layers(direction, layers, [direction.info.layer])
        super().__init__({layer: direction.vector(layer) for layer in wanted}, positions, self.strength)

    def _changed(self, layer: int, hidden: Tensor, constants: Tensor, parts: Tensor | Part) -> Tensor:
        return hidden + self.strength * constants if self.strength else hidden
