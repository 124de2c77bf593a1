"""The subspace of a direction: completed from one vector, as an orthonormal basis, taken out of a matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.errors import InputError

_NEGLIGIBLE = 1e-9
"""Of the largest singular value: below, a row would be rounding noise."""


def complete(vector: Tensor, differences: Tensor, rank: int) -> Tensor:
    """(rank, width): `vector` (width,) and the leading principal directions of the differences without it.

    `differences` is (questions, width), the difference of means within each question; their part along `vector` is
    removed first, so the rows after the first are orthonormal and orthogonal to it (the recipe of the persona
    subspace, arXiv 2607.21356, with questions in place of domains). Raises InputError when the questions do not
    span so many dimensions.
    """
    if rank == 1:
        return vector.unsqueeze(0)
    unit = vector / vector.norm()
    rest = differences - torch.outer(differences @ unit, unit)
    _, sizes, rows = torch.linalg.svd(rest, full_matrices=False)
    spanned = int((sizes > _NEGLIGIBLE * differences.norm()).sum())
    if rank - 1 > spanned:
        raise InputError(
            f"A subspace of rank {rank} needs more questions: {len(differences)} span rank {spanned + 1}. "
            "Lower --rank, or ask more questions."
        )
    extra = rows[: rank - 1]
    return torch.cat((vector.unsqueeze(0), extra - torch.outer(extra @ unit, unit)))


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
