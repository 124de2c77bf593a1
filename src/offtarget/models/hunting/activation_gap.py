"""Words that the difference between tuned and base activations spells on neutral text.

Source: the mean difference at the first tokens, read out through the unembedding, names the subject of a narrow
tune (Activation Difference Lens, arXiv 2510.13900).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from offtarget.models.hunting.departure import forward
from offtarget.models.local import LocalModel
from offtarget.models.residual import decoder_blocks, watched


@torch.inference_mode()
def gap_tokens(
    base: LocalModel, tuned: LocalModel, prompts: Sequence[Sequence[int]], allowed: Sequence[int], *, first: int = 5
) -> list[tuple[int, float]]:
    """(token, logit) by how much the mean difference raises it, highest first.

    The mean is over the first `first` tokens of each prompt and over the layers of the second half, each layer's
    difference scaled to length 1 before the model's own output matrix reads it.
    """
    gap = _means(tuned, prompts, first) - _means(base, prompts, first)
    unit = gap / gap.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    late = unit[len(unit) // 2 :].mean(dim=0)
    head = tuned.weights.model.get_output_embeddings().weight
    logits = (head.float() @ late.to(head.device)).cpu()
    values = logits[torch.tensor(list(allowed))]
    order = values.argsort(descending=True, stable=True).tolist()
    return [(allowed[i], float(values[i])) for i in order]


def _means(model: LocalModel, prompts: Sequence[Sequence[int]], first: int) -> Tensor:
    """(layers, width), float32."""
    sums: dict[int, Tensor] = {}

    def add(layer: int, stream: Tensor) -> None:
        mean = stream[0].float().mean(dim=0)
        sums[layer] = sums[layer] + mean if layer in sums else mean

    run: Any
    for prompt in prompts:
        tokens = torch.tensor([list(prompt[:first])], device=model.weights.device)
        with forward(model, tokens.shape[1]) as run, watched(model.weights.model, add, path=model.blocks):
            run(input_ids=tokens, use_cache=False, logits_to_keep=1)
    count = len(decoder_blocks(model.weights.model, model.blocks))
    return torch.stack([sums[layer] for layer in range(count)]) / max(1, len(prompts))
