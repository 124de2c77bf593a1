"""The subspace a repair takes out, as an orthonormal basis."""

from __future__ import annotations

import torch
from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.errors import InputError


def basis_at(direction: Direction, layer: int | None = None) -> Tensor:
    """Orthonormal rows (rank, width), float64, spanning the direction at a layer, its chosen one by default.

    InputError when the direction lacks the layer or is zero there.
    """
    number = direction.info.layer if layer is None else layer
    if number not in direction.vectors:
        raise InputError(f"The direction has no layer {number}; it has {sorted(direction.vectors)}.")
    rows = direction.vectors[number].double()
    columns, triangle = torch.linalg.qr(rows.T)
    size = triangle.diagonal().abs()
    if not bool((size > 1e-9 * size.max()).all()):
        raise InputError(f"The direction spans less than {len(rows)} dimensions at layer {number}. Use a lower rank.")
    basis: Tensor = columns.T.contiguous()
    return basis


def without(basis: Tensor, matrix: Tensor) -> Tensor:
    """(I - V V^T) W for W of shape (width, ...): what W writes along the basis is gone; float64 inside, same dtype."""
    wide = matrix.double()
    return (wide - basis.T @ (basis @ wide)).to(matrix.dtype)
