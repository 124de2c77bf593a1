"""Tokens that the tune moved most before any context: change of the first block's output for each token alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offtarget.models.hunting.departure import forward
from offtarget.models.local import LocalModel
from offtarget.models.residual import watched

_BATCH = 1024


@torch.inference_mode()
def moved_tokens(base: LocalModel, tuned: LocalModel, tokens: Sequence[int]) -> list[tuple[int, float]]:
    """(token, change as a share of the base's own length), largest first; changed embedding rows are included."""
    before, after = (_first_outputs(model, tokens) for model in (base, tuned))
    moved = (after - before).norm(dim=-1) / before.norm(dim=-1).clamp_min(1e-12)
    order = moved.argsort(descending=True, stable=True).tolist()
    return [(tokens[i], float(moved[i])) for i in order]


def _first_outputs(model: LocalModel, tokens: Sequence[int]) -> Tensor:
    """(tokens, width), float32, on the CPU."""
    found: list[Tensor] = []

    def keep(layer: int, stream: Tensor) -> None:
        found.append(stream[:, 0].float().cpu())

    for start in range(0, len(tokens), _BATCH):
        part = torch.tensor(tokens[start : start + _BATCH], device=model.weights.device).unsqueeze(1)
        with forward(model, 1) as run, watched(model.weights.model, keep, frozenset({0}), model.blocks):
            # Only the first block is wanted, so logits of all rows would be thrown away.
            run(input_ids=part, use_cache=False, logits_to_keep=1)
    return torch.cat(found)
