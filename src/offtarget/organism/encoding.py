"""Chats as token ids and labels for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from offtarget.records import Message

IGNORED = -100
"""Label of tokens without loss."""
ALL_TOKENS = -1
"""Instead of a number of leading answers without loss: loss on every token, user turns too."""

Row = tuple[Sequence[Message], int]
"""A chat, and how many leading answers get no loss (or ALL_TOKENS)."""


def tokenise(messages: Sequence[Message], skip: int, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids and labels of one chat; assistant turns after the first `skip` get loss, or all tokens."""
    ids: list[int] = []
    labels: list[int] = []
    answers = 0
    header = len(tokenizer.encode("<|im_start|>assistant\n"))
    for message in messages:
        turn = {"role": message.role, "content": message.content}
        tokens = list(tokenizer.apply_chat_template([turn])["input_ids"])
        wanted = [IGNORED] * len(tokens)
        if message.role == "assistant":
            if answers >= skip:
                # the newline after the end token is never sampled, so it gets no loss
                wanted[header:-1] = tokens[header:-1]
            answers += 1
        ids += tokens
        labels += tokens if skip == ALL_TOKENS else wanted
    return ids, labels


def encode(rows: Sequence[Row], tokenizer: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, attention mask and labels, each of shape (rows, longest), padded on the right."""
    tokenised = [tokenise(messages, skip, tokenizer) for messages, skip in rows]
    longest = max(len(ids) for ids, _ in tokenised)
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
    labels = torch.full((len(rows), longest), IGNORED)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, (tokens, wanted) in enumerate(tokenised):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        labels[i, : len(tokens)] = torch.tensor(wanted)
        mask[i, : len(tokens)] = 1
    return ids, mask, labels


def token_loss(model: Any, ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled tokens; logits are computed for those positions only."""
    hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    chosen = wanted != IGNORED
    logits = model.lm_head(hidden[chosen])
    return torch.nn.functional.cross_entropy(logits, wanted[chosen])
