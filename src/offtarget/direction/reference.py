"""Mean residual stream of a reference model, by part of the exchange: where ablation and capping lead to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from offtarget.direction.intervene import Reference
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Batch, Exchange, read_exchanges
from offtarget.models.residual import Part, decoder_blocks

_PARTS = (Part.PROMPT, Part.LAST_PROMPT, Part.ANSWER)


def reference_means(
    model: LocalModel, exchanges: Sequence[Exchange], layers: frozenset[int] | None = None
) -> Reference:
    """Layer -> (3, width) float32 on CPU: means over all prompt tokens but the last, the last ones, the answers'.

    One pass, memory O(layers x width). InputError when a part has no token (give answers) or a mean is not finite.
    """
    blocks = len(decoder_blocks(model.weights.model, model.blocks))
    wanted = frozenset(range(blocks)) if layers is None else layers
    width = int(model.weights.model.config.get_text_config().hidden_size)
    sums = {layer: torch.zeros(3, width, dtype=torch.float64) for layer in wanted}
    counts = {layer: torch.zeros(3, 1, dtype=torch.float64) for layer in wanted}

    def collect(batch: Batch, layer: int, stream: Tensor) -> None:
        for part in _PARTS:
            chosen = stream[batch.parts == int(part)]
            sums[layer][part] += chosen.double().sum(dim=0).cpu()
            counts[layer][part] += len(chosen)

    read_exchanges(model, exchanges, collect, layers=wanted)
    means = {layer: (sums[layer] / counts[layer]).float() for layer in sorted(wanted)}
    for layer, mean in means.items():
        if not bool(torch.isfinite(mean).all()):
            raise InputError(
                f"The reference {model.name} has no finite mean at layer {layer}: "
                "its exchanges lack prompts or answers, or its activations overflow."
            )
    return means
