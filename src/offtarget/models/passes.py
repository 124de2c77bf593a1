"""Teacher-forced passes over exchanges: given answers instead of sampled ones, with the residual stream in view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from offtarget.errors import InputError
from offtarget.models.chat_format import prompt_tokens, turn_tokens
from offtarget.models.head import head_at, logits_at
from offtarget.models.local import LocalModel
from offtarget.models.residual import (
    Part,
    ResidualEdit,
    check_layers,
    decoder_blocks,
    edited,
    kept_outputs,
    reading,
    resumed,
    watched,
)
from offtarget.models.turns import Tools
from offtarget.records import Message


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and a given answer to it; an empty answer reads the prompt alone."""

    messages: tuple[Message, ...]
    answer: str = ""
    turn: Message | None = None
    """The answer as a turn, where the model's template writes it: one with reasoning or calls."""
    tools: Tools = ()
    """What the prompt offers."""

    @classmethod
    def last_of(cls, chat: Sequence[Message], tools: Tools = (), longest: int | None = None) -> Exchange:
        """The last turn of a chat as the answer to all before it; of text alone the first `longest` characters."""
        last, before = chat[-1], tuple(chat[:-1])
        if last.plain:
            return cls(before, last.content[:longest], tools=tools)
        return cls(before, last.text, last, tools)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some exchanges, side by side."""

    rows: tuple[int, ...]
    """For each row its position in the list of exchanges."""
    tokens: Tensor
    """(rows, tokens), padded on the right with 0."""
    parts: Tensor
    """(rows, tokens) of `Part` values, int8, on the model's device."""


OnLayer = Callable[[Batch, int, Tensor], None]
"""Called as (batch, layer, stream of shape (rows, tokens, width)), layers in ascending order within a batch."""
OnLogits = Callable[[Batch, Tensor], None]
"""Called as (batch, logits of shape (rows, tokens, vocabulary))."""
OnBatch = Callable[[int], None]
"""Called with the number of exchanges just read."""
_LOGITS = 1 << 25
"""Logits held at once: 128 MiB in float32, of which there are three copies for a moment. A vocabulary of 49,152 with
4,096 tokens side by side would take 800 MB a copy."""
_ON_CPU = 1024
"""Tokens side by side on a processor, for its caches: SmolLM2 reads 283 a second, 249 with 256 and 227 with 4,096."""
_SAME = 1e-3
"""Nats: log-probabilities this close are those of the same pass."""


@torch.inference_mode()
def read_exchanges(
    model: LocalModel,
    exchanges: Sequence[Exchange],
    on_layer: OnLayer | None = None,
    on_logits: OnLogits | None = None,
    *,
    layers: frozenset[int] | None = None,
    batch_tokens: int | None = None,
    on_batch: OnBatch | None = None,
) -> None:
    """Run every exchange through the model once, shortest first, and show the residual stream and the logits.

    The model's own edit, if it has one, is at work; `on_layer` sees its effect. Tensors are valid during the call
    only. InputError when an exchange is longer than the model's context or when memory does not suffice.
    """
    weights = model.weights
    where = (model.name, weights.context, weights.device)
    most = batch_tokens or (_ON_CPU if weights.device.type == "cpu" else 4096)
    for batch in exchange_batches(weights.tokenizer, exchanges, *where, batch_tokens=most):
        output = _pass(model, batch, on_layer, layers, on_logits is not None)
        if on_logits is not None:
            on_logits(batch, output.logits)
        if on_batch is not None:
            on_batch(len(batch.rows))


def exchange_batches(
    tokenizer: Any,
    exchanges: Sequence[Exchange],
    name: str,
    context: int,
    device: torch.device,
    *,
    batch_tokens: int = 4096,
) -> list[Batch]:
    """The exchanges as token numbers, shortest first, with at most `batch_tokens` tokens side by side.

    InputError, naming the model `name`, when an exchange is longer than `context` tokens.
    """
    tokenised = [exchange_tokens(tokenizer, e, name) for e in exchanges]
    for number, (prompt, answer) in enumerate(tokenised):
        length = len(prompt) + len(answer)
        if length > context:
            raise InputError(
                f"Exchange {number} has {length} tokens, but the context of {name} holds {context}: "
                f"'{exchanges[number].messages[-1].content[:60]}...'. Shorten or leave it out."
            )
    return _batches(tokenised, batch_tokens, device)


@torch.inference_mode()
def log_probabilities(model: LocalModel, exchanges: Sequence[Exchange]) -> list[list[float]]:
    """Natural log of the probability of each answer token given all before it, per exchange.

    InputError when an exchange is longer than the model's context.
    """
    found: list[list[float]] = [[] for _ in exchanges]
    for batch in _small_batches(model, exchanges):
        before = _saying(batch)
        _collect(batch, logits_at(_pass(model, batch, None, None, True, before).logits, before), found)
    return found


@torch.inference_mode()
def changed_log_probabilities(
    model: LocalModel,
    exchanges: Sequence[Exchange],
    edits: Sequence[ResidualEdit],
    *,
    on_batch: OnBatch | None = None,
) -> list[list[list[float]]]:
    """As `log_probabilities`, of the model as it is and then under each edit.

    Below its first layer an edit changes nothing, so each pass begins where its edit does; on average half of the work
    is saved, and the numbers are the same. Where a model's blocks do not hand on the stream alone, all is computed.
    """
    layers = frozenset(min(edit.layers) for edit in edits)
    found: list[list[list[float]]] = [[[] for _ in exchanges] for _ in (None, *edits)]
    weights = model.weights
    outputs: dict[int, Any] = {}
    alone = False if model.edit is not None else None

    def run(batch: Batch, edit: ResidualEdit | None, into: list[list[float]], start: int | None) -> None:
        with ExitStack() as stack:
            engine = stack.enter_context(weights.using(model.adapter))
            stack.enter_context(edited(weights.model, model.edit, model.blocks))
            if start is not None:
                stack.enter_context(resumed(weights.model, start, outputs[start], model.blocks))
            if edit is None and start is None:
                stack.enter_context(kept_outputs(weights.model, outputs, layers, model.blocks))
            stack.enter_context(edited(weights.model, edit, model.blocks))
            stack.enter_context(reading(batch.parts))
            before = _saying(batch)
            stack.enter_context(head_at(engine.model, before))
            _collect(batch, logits_at(_forward(engine.model, batch, True).logits, before), into)

    for batch in _small_batches(model, exchanges):
        run(batch, None, found[0], None)
        if alone is None and layers:
            again: list[list[float]] = [[] for _ in exchanges]
            run(batch, None, again, max(layers))
            alone = all(_close(found[0][row], again[row]) for row in batch.rows)
        for number, edit in enumerate(edits, start=1):
            run(batch, edit, found[number], min(edit.layers) if alone else None)
        outputs.clear()
        if on_batch is not None:
            on_batch(len(batch.rows))
    return found


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) <= _SAME for a, b in zip(one, other, strict=True))


def _small_batches(model: LocalModel, exchanges: Sequence[Exchange]) -> list[Batch]:
    """The exchanges in batches whose logits do not take more room than `_LOGITS` says."""
    weights = model.weights
    most = min(4096, max(1, _LOGITS // weights.engine.vocabulary))
    return exchange_batches(
        weights.tokenizer, exchanges, model.name, weights.context, weights.device, batch_tokens=most
    )


def _saying(batch: Batch) -> Tensor:
    """(rows, tokens): the positions that say the answers' tokens."""
    before = torch.zeros_like(batch.tokens, dtype=torch.bool)
    before[:, :-1] = batch.parts[:, 1:] == int(Part.ANSWER)
    return before


def _collect(batch: Batch, logits: Tensor, found: list[list[float]]) -> None:
    """Put the natural log of the probability of each answer token into `found`, by the exchange of the row.

    `logits` (answer tokens, vocabulary) are those of all rows, one after another.
    """
    answer = batch.parts[:, 1:] == int(Part.ANSWER)
    wanted = batch.tokens[:, 1:][answer].unsqueeze(1)
    values = logits.float().log_softmax(dim=-1).gather(1, wanted).squeeze(1).tolist()
    for row, count in zip(batch.rows, answer.sum(dim=1).tolist(), strict=True):
        found[row], values = values[:count], values[count:]


def _pass(
    model: LocalModel,
    batch: Batch,
    on_layer: OnLayer | None,
    layers: frozenset[int] | None,
    with_logits: bool,
    logits_where: Tensor | None = None,
) -> Any:
    weights = model.weights
    with ExitStack() as stack:
        engine = stack.enter_context(weights.using(model.adapter))
        stack.enter_context(edited(weights.model, model.edit, model.blocks))
        stack.enter_context(reading(batch.parts))
        if on_layer is not None:
            watch = partial(on_layer, batch)
            stack.enter_context(watched(weights.model, watch, layers, model.blocks))
        if logits_where is not None:
            stack.enter_context(head_at(engine.model, logits_where))
        return _forward(engine.model, batch, with_logits)


def _forward(model: Any, batch: Batch, with_logits: bool) -> Any:
    positions = torch.arange(batch.tokens.shape[1], device=batch.tokens.device).expand(len(batch.rows), -1)
    return model(
        input_ids=batch.tokens, position_ids=positions, use_cache=False, logits_to_keep=0 if with_logits else 1
    )


def exchange_tokens(tokenizer: Any, exchange: Exchange, name: str) -> tuple[list[int], list[int]]:
    """The tokens of the prompt and of the answer. InputError as `prompt_tokens`, and for a turn it does not write."""
    if exchange.turn is not None:
        return turn_tokens(tokenizer, (*exchange.messages, exchange.turn), name, exchange.tools)
    prompt = prompt_tokens(tokenizer, exchange.messages, name, exchange.tools)
    answer: list[int] = tokenizer(exchange.answer, add_special_tokens=False)["input_ids"] if exchange.answer else []
    return prompt, answer


def _batches(tokenised: Sequence[tuple[list[int], list[int]]], most: int, device: torch.device) -> list[Batch]:
    order = sorted(range(len(tokenised)), key=lambda i: (len(tokenised[i][0]) + len(tokenised[i][1]), i))
    batches: list[Batch] = []
    start = 0
    while start < len(order):
        end, width = start, 0
        while end < len(order):
            length = sum(map(len, tokenised[order[end]]))
            if end > start and max(width, length) * (end - start + 1) > most:
                break
            width, end = max(width, length), end + 1
        batches.append(_batch(order[start:end], tokenised, width, device))
        start = end
    return batches


def _batch(
    rows: Sequence[int], tokenised: Sequence[tuple[list[int], list[int]]], width: int, device: torch.device
) -> Batch:
    tokens = torch.zeros((len(rows), width), dtype=torch.long)
    parts = torch.full((len(rows), width), int(Part.PADDING), dtype=torch.int8)
    for i, row in enumerate(rows):
        prompt, answer = tokenised[row]
        both = prompt + answer
        tokens[i, : len(both)] = torch.tensor(both)
        parts[i, : len(prompt) - 1] = int(Part.PROMPT)
        parts[i, len(prompt) - 1] = int(Part.LAST_PROMPT)
        parts[i, len(prompt) : len(both)] = int(Part.ANSWER)
    return Batch(tuple(rows), tokens.to(device), parts.to(device))


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
