"""Ablation: what lies along the direction is taken out of the residual stream (Arditi et al., arXiv 2406.11717)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.direction.intervene.edit import POSITIONS, PositionedEdit, chosen_layers, finite, unit
from offtarget.errors import InputError
from offtarget.models.residual import Part

Reference = Mapping[int, Tensor]
"""Layer -> mean stream of a reference model by part: (3, width), rows in the order of `Part` from PROMPT."""

_VALUES = len(POSITIONS["all"])


class Ablate(PositionedEdit):
    """h <- h - share * Q Q' (h - m), with Q an orthonormal basis of the direction's first `rank` vectors.

    m is 0 (zero-ablation) or, with `towards`, the reference's mean at the position's part (mean-ablation). At
    share 1 nothing along the direction is left but the reference's mean. Layers: all of the direction's by
    default; `rank`: all of its vectors. InputError for a rank or layer it does not have.
    """

    def __init__(
        self,
        direction: Direction,
        layers: Iterable[int] | None = None,
        positions: frozenset[Part] = POSITIONS["all"],
        *,
        rank: int | None = None,
        towards: Reference | None = None,
        share: float = 1.0,
    ) -> None:
        self.share = finite(share, "share")
        self.rank = direction.info.rank if rank is None else rank
        if not 1 <= self.rank <= direction.info.rank:
            raise InputError(
                f"The direction has {direction.info.rank} vectors per layer; {self.rank} cannot be removed."
            )
        wanted = chosen_layers(direction, layers, direction.vectors)
        bases = {layer: basis(direction.vectors[layer][: self.rank], layer) for layer in wanted}
        means = {layer: _mean(towards, layer, direction.info.width) for layer in wanted}
        # The two travel as one tensor: the basis, then the projections' target per part lifted back to the stream.
        joined = {layer: torch.cat((q, means[layer] @ q.T @ q)) for layer, q in bases.items()}
        super().__init__(joined, positions, (self.share, self.rank))

    def _changed(self, layer: int, hidden: Tensor, constants: Tensor, parts: Tensor | Part) -> Tensor:
        if self.share == 0:
            return hidden
        vectors, targets = constants[: self.rank], constants[self.rank :]
        index = int(parts) if isinstance(parts, Part) else parts.to(hidden.device).long()
        target = targets[max(index, 0) if isinstance(index, int) else index.clamp(min=0)]
        return hidden - self.share * (hidden @ vectors.T @ vectors - target)


def basis(vectors: Tensor, layer: int) -> Tensor:
    """An orthonormal basis (rank, width) of the rows. InputError when they do not span so many dimensions."""
    rows: list[Tensor] = []
    for vector in vectors.double():
        rest = vector
        for row in rows:
            rest = rest - (rest @ row) * row
        if float(rest.norm()) <= 1e-6 * float(vector.norm()):
            rest = torch.zeros_like(vector)
        rows.append(unit(rest, layer).double())
    return torch.stack(rows).float()


def _mean(towards: Reference | None, layer: int, width: int) -> Tensor:
    if towards is None:
        return torch.zeros(_VALUES, width)
    if layer not in towards:
        raise InputError(f"The reference has no means at layer {layer}; it has {sorted(towards)}.")
    if towards[layer].shape != (_VALUES, width):
        raise InputError(f"The reference's means have shape {tuple(towards[layer].shape)}, not {(_VALUES, width)}.")
    return towards[layer].float().cpu()
