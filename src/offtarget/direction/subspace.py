"""From one vector to a subspace: what differs from question to question beside the common direction."""

from __future__ import annotations

import torch
from torch import Tensor

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
