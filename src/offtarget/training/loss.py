"""The loss of answers: the output layer is run where a token is learned, and nowhere else.

With a large vocabulary it is a fifth of a small model and writes the largest tensors of a step, and many positions of a
row are prompt, template and padding, whose logits nobody reads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

IGNORED = -100
"""Label of a token without loss."""


def token_losses(model: Any, called: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats of every learned token, and the number of its row, each (learned tokens,).

    `called` is the model as a trainer wraps it; `inputs` hold `input_ids`, `attention_mask` and `labels` of shape
    (rows, tokens), where the label of a token is the token itself or `IGNORED`.
    """
    labels = inputs["labels"][:, 1:]
    learned = labels != IGNORED

    def only_learned(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0][:, :-1][learned].unsqueeze(0), *given[1:])

    # what a model does to its logits afterwards (scaling, capping) it does to those of each token alone
    hook = model.get_output_embeddings().register_forward_pre_hook(only_learned)
    try:
        logits = called(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
    finally:
        hook.remove()
    if logits.shape[:2] == (*labels.shape[:1], labels.shape[1] + 1):  # a model that goes past its output layer
        logits = logits[:, :-1][learned].unsqueeze(0)
    losses = torch.nn.functional.cross_entropy(logits[0].float(), labels[learned], reduction="none")
    return losses, learned.nonzero()[:, 0]
