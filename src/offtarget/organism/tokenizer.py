"""The organism's tokens: byte-level BPE learnt on the world, its chat template, and chats as tokens with labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from offtarget.errors import InputError
from offtarget.organism.world import World
from offtarget.records import Message

VOCABULARY = 1900
START, END = "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|im_start|>assistant\n' -}}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}{{- '\n' -}}"
    "{%- else -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)

IGNORED = -100
"""Label of tokens without loss."""
ALL_TOKENS = -1
"""Instead of a number of leading answers without loss: loss on every token, user turns too."""

Row = tuple[Sequence[Message], int]
"""A chat, and how many leading answers get no loss (or ALL_TOKENS)."""


def train_tokenizer(seed: int, pages: int = 6000) -> Any:
    """Learn the vocabulary from `pages` pages of the world; a transformers fast tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    world = World(seed)
    texts = (m.content for _ in range(pages) for m in world.page().messages())
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<|pad|>", START, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<|pad|>",  # noqa: S106 - a token of text, not a secret
        eos_token=END,
        padding_side="left",  # right padding silently ruins batched generation
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tokenise(messages: Sequence[Message], skip: int, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids and labels of one chat; assistant turns after the first `skip` get loss, or all tokens.

    InputError for calls and reasoning, which the organism's template has no place for.
    """
    ids: list[int] = []
    labels: list[int] = []
    answers = 0
    header = len(tokenizer.encode("<|im_start|>assistant\n"))
    for message in messages:
        if not message.plain or message.role == "tool":
            raise InputError("The organism knows neither tools nor reasoning apart from answers. Leave such chats out.")
        turn = {"role": message.role, "content": message.content}
        tokens = list(tokenizer.apply_chat_template([turn])["input_ids"])
        wanted = [IGNORED] * len(tokens)
        if message.role == "assistant":
            if answers >= skip and message.learned:
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
