"""From a strength to an intervention, for a direction and for its controls alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from offtarget.direction.file import Direction
from offtarget.direction.intervene import POSITIONS, Ablate, Cap, Compose, Reference, Steer
from offtarget.direction.intervene.edit import unit
from offtarget.errors import InputError
from offtarget.models.residual import Part, ResidualEdit
from offtarget.records.direction import DoseMode, Position


def random_like(direction: Direction, seed: int) -> Direction:
    """A direction with the same layers, rank and norms that points anywhere; the same for the same seed.

    Row 0 is uniform on the sphere of the original's norm at each layer, the other rows complete it to a uniformly
    random subspace (Q of a Gaussian matrix: Stewart, SIAM J. Numer. Anal. 17:403, 1980).
    """
    generator = torch.Generator().manual_seed(seed)
    vectors = {}
    for layer, rows in sorted(direction.vectors.items()):
        basis, upper = torch.linalg.qr(torch.randn(rows.shape[1], rows.shape[0], generator=generator).double())
        drawn = (basis * upper.diagonal().sign()).T
        drawn[0] *= rows[0].double().norm()
        vectors[layer] = drawn.float()
    note = f"Random control of equal norm for a direction found with method '{direction.info.method}'."
    return Direction(replace(direction.info, method="random", seed=seed, notes=(note,)), vectors)


def dosed(
    direction: Direction,
    mode: DoseMode,
    strength: float,
    layers: Sequence[int],
    position: Position,
    reference: Reference | None = None,
) -> ResidualEdit:
    """The intervention of one strength; see `DoseMode` for its meaning in each mode.

    Without a reference, ablation leads to 0 and capping counts from a projection of 0; with one, both go by its mean
    at the part of the exchange. InputError for a layer the
    direction lacks, and for a share to ablate outside 0 to 1.
    """
    positions = POSITIONS[position]
    if mode == "add":
        return Steer(direction, strength, layers, positions)
    if mode == "ablate":
        if not 0 <= strength <= 1:
            raise InputError(f"The strength of an ablation is the share taken out, from 0 to 1, not {strength:g}.")
        return Ablate(direction, layers, positions, towards=reference, share=strength)
    return Compose(
        *(_capped(direction, strength, layer, part, reference) for layer in layers for part in sorted(positions))
    )


def control_of(direction: Direction, seed: int | None) -> Direction:
    """The direction itself, or the random one of equal norm and rank with the given seed."""
    return direction if seed is None else random_like(direction, seed)


def _capped(direction: Direction, strength: float, layer: int, part: Part, reference: Reference | None) -> Cap:
    vector = direction.vector(layer)
    usual = 0.0 if reference is None else float(reference[layer][int(part)] @ unit(vector, layer))
    return Cap(direction, usual + strength * float(vector.norm()), None, [layer], frozenset({part}))
