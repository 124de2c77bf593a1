"""Controls: random directions of the same norm and subspaces of the same rank."""

from __future__ import annotations

from dataclasses import replace

import torch

from offtarget.direction.file import Direction


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
