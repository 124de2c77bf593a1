"""The output layer at chosen positions alone: logits are the largest tensors of a pass, and mostly nobody reads them.

With a vocabulary of 50,000 a position takes 200 kB, and in a small model the layer is a fifth of what there is to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor


@contextmanager
def head_at(model: Any, chosen: Tensor) -> Iterator[None]:
    """Inside, passes over (rows, tokens) run the output layer where `chosen`, bool of that shape, is True.

    Their logits are to be read with `logits_at`. What a model does to its logits afterwards (scaling, capping) it does
    to those of each position alone, so they are what they would have been.
    """

    def narrowed(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0][chosen].unsqueeze(0), *given[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(narrowed)
    try:
        yield
    finally:
        hook.remove()


def logits_at(logits: Tensor, chosen: Tensor) -> Tensor:
    """(chosen positions, vocabulary), row by row, of a pass inside `head_at`."""
    passed_by = logits.shape[:2] == chosen.shape  # a model that does not go through its output layer
    return logits[chosen] if passed_by else logits[0]
