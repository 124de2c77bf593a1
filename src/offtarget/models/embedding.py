"""Prompts as vectors: the residual stream of a model, averaged over the prompt's tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Batch, Exchange, read_exchanges
from offtarget.models.residual import Part, check_layers, decoder_blocks
from offtarget.records import Message


def embed_prompts(
    model: LocalModel, chats: Sequence[tuple[Message, ...]], layer: int | None = None
) -> npt.NDArray[np.float32]:
    """Mean of the residual stream over all prompt tokens of each chat, shape (chats, width), in one pass.

    `layer` counts decoder blocks from 0; by default the middle one, `middle_layer(model)`. Raises InputError for a
    layer that does not exist, without chats, and for a chat longer than the model's context.
    """
    if not chats:
        raise InputError("There is no prompt to embed.")
    blocks = len(decoder_blocks(model.weights.model, model.blocks))
    chosen = middle_layer(model) if layer is None else layer
    check_layers(frozenset({chosen}), blocks)
    found: list[npt.NDArray[np.float32] | None] = [None] * len(chats)

    def collect(batch: Batch, _: int, stream: Tensor) -> None:
        prompt = (batch.parts != int(Part.PADDING)).unsqueeze(-1)
        # Padding is set to 0 instead of multiplied by it: it may hold NaN.
        sums = stream.float().masked_fill(~prompt, 0.0).sum(dim=1)
        for row, mean in zip(batch.rows, (sums / prompt.sum(dim=1)).cpu().numpy(), strict=True):
            found[row] = mean

    read_exchanges(model, [Exchange(chat) for chat in chats], collect, layers=frozenset({chosen}))
    return np.stack([vector for vector in found if vector is not None])


def middle_layer(model: LocalModel) -> int:
    """The block in the middle, counted from 0; of an even number the later one."""
    return len(decoder_blocks(model.weights.model, model.blocks)) // 2
