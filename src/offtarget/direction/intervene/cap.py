"""Activation capping: the projection on the direction is kept within bounds, all else stays as it is."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.direction.intervene.edit import POSITIONS, PositionedEdit, chosen_layers, finite, unit
from offtarget.errors import InputError
from offtarget.models.residual import Part


class Cap(PositionedEdit):
    """h <- h + (clamp(p, floor, ceiling) - p) * u with p = h . u and u the unit vector of the mean difference.

    `ceiling` and `floor` are projections in activation units, the same at every layer given; None leaves a side
    open. A stream within the bounds stays bit for bit as it is. Layers: the direction's own by default.
    """

    def __init__(
        self,
        direction: Direction,
        ceiling: float | None,
        floor: float | None = None,
        layers: Iterable[int] | None = None,
        positions: frozenset[Part] = POSITIONS["all"],
    ) -> None:
        if ceiling is None and floor is None:
            raise InputError("Capping needs a ceiling or a floor.")
        self.ceiling = None if ceiling is None else finite(ceiling, "ceiling")
        self.floor = None if floor is None else finite(floor, "floor")
        if self.ceiling is not None and self.floor is not None and self.floor > self.ceiling:
            raise InputError(f"The floor {self.floor:g} lies above the ceiling {self.ceiling:g}. Exchange them.")
        wanted = chosen_layers(direction, layers, [direction.info.layer])
        vectors = {layer: unit(direction.vector(layer), layer) for layer in wanted}
        super().__init__(vectors, positions, (self.ceiling, self.floor))

    def _changed(self, layer: int, hidden: Tensor, constants: Tensor, parts: Tensor | Part) -> Tensor:
        projection = (hidden @ constants).unsqueeze(-1)
        return hidden + (projection.clamp(self.floor, self.ceiling) - projection) * constants
