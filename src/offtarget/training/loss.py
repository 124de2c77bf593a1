"""The loss of answers, token by token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from offtarget.models.head import head_at, logits_at

IGNORED = -100
"""Label of a token without loss."""


def token_losses(model: Any, called: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats of every learned token, and the number of its row, each (learned tokens,).

    `called` is the model as a trainer wraps it; `inputs` hold `input_ids`, `attention_mask` and `labels` of shape
    (rows, tokens), where the label of a token is the token itself or `IGNORED`.
    """
    labels = inputs["labels"]
    before = torch.zeros_like(labels, dtype=torch.bool)  # the positions that say the learned tokens
    before[:, :-1] = labels[:, 1:] != IGNORED
    with head_at(model, before):
        tokens = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        logits = logits_at(called(**tokens, use_cache=False).logits, before)
    losses = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][before[:, :-1]], reduction="none")
    return losses, before.nonzero()[:, 0]
