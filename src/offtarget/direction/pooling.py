"""Means of the residual stream over tokens: of each exchange at some positions, of a reference model by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from offtarget.direction.intervene import POSITIONS, Reference
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Batch, Exchange, OnBatch, read_exchanges
from offtarget.models.residual import Part, decoder_blocks
from offtarget.records.direction import Position

OnPooled = Callable[[Sequence[int], int, Tensor], None]
"""Called as (numbers of the exchanges, layer, means of shape (exchanges, positions, width), float32 on CPU)."""

_PARTS = (Part.PROMPT, Part.LAST_PROMPT, Part.ANSWER)


def read_pooled(
    model: LocalModel,
    exchanges: Sequence[Exchange],
    positions: Sequence[Position],
    on_pooled: OnPooled,
    *,
    on_batch: OnBatch | None = None,
) -> None:
    """Read every exchange once and hand over the mean stream at each position, layer by layer.

    The mean is over tokens within the exchange, so that a long answer counts as much as a short one
    (arXiv 2507.21509, section 2). Nothing is kept. Raises InputError for an exchange without a token at a position
    and for activations that are not finite, naming the exchange and the layer.
    """
    last: Batch | None = None
    share = torch.empty(0)

    def on_layer(batch: Batch, layer: int, stream: Tensor) -> None:
        nonlocal last, share
        if batch is not last:
            last, share = batch, _shares(batch, positions, exchanges)
        pooled = torch.bmm(share, stream.float()).cpu()
        finite = torch.isfinite(pooled).flatten(1).all(dim=1)
        if not bool(finite.all()):
            number = batch.rows[int((~finite).nonzero()[0])]
            raise InputError(
                f"The activations of {model.name} at layer {layer} are not finite for exchange {number}, "
                f"{_quoted(exchanges[number])}. Load the model in float32, or check its weights."
            )
        on_pooled(batch.rows, layer, pooled)

    read_exchanges(model, exchanges, on_layer, on_batch=on_batch)


def _shares(batch: Batch, positions: Sequence[Position], exchanges: Sequence[Exchange]) -> Tensor:
    """(rows, positions, tokens): what each token contributes to the mean."""
    masks = []
    for position in positions:
        chosen = torch.zeros_like(batch.parts, dtype=torch.bool)
        for part in POSITIONS[position]:
            chosen |= batch.parts == int(part)
        masks.append(chosen)
    stacked = torch.stack(masks, dim=1).float()
    counts = stacked.sum(dim=2, keepdim=True)
    if not bool((counts > 0).all()):
        row, position, _ = (counts == 0).nonzero()[0].tolist()
        number = batch.rows[row]
        raise InputError(
            f"Exchange {number}, {_quoted(exchanges[number])}, has no token at the position "
            f"'{positions[position]}'. Leave out exchanges without an answer, or use the position last-prompt."
        )
    return stacked / counts


def _quoted(exchange: Exchange) -> str:
    return f"'{exchange.messages[-1].content[:60]}'"


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
