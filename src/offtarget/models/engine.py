"""Runs any transformers causal language model one prompt batch or one token per row at a time."""

from __future__ import annotations

import threading
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from offtarget.errors import InputError
from offtarget.models.residual import Part, reading
from offtarget.models.shared_prefix import BatchState, attend

ATTENTION = "offtarget_shared_prefix"
"""Name under which the attention of decoding batches is registered with transformers."""


class Engine(Protocol):
    """Fills prefixes in and decodes one token per row."""

    vocabulary: int

    def prefill(self, tokens: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values per layer (prompts, key heads, length, head size) of right-padded tokens."""
        ...

    def step(self, tokens: Tensor, state: BatchState) -> Tensor:
        """Logits (rows, vocabulary) after one more token per row (rows,); the state grows by one column."""
        ...


class _Active(threading.local):
    state: BatchState | None = None


_active = _Active()


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function transformers calls: decoding batches share prefixes, all else is SDPA."""
    if kwargs.get("s_aux") is not None:
        raise InputError("This model has attention sinks (s_aux), which offtarget's sampler does not support.")
    if scaling is None:
        scaling = float(query.shape[-1]) ** -0.5
    state = _active.state
    if state is None:
        if softcap is not None:
            return _softcapped(query, key, value, attention_mask, scaling, softcap), None
        return cast(
            tuple[Tensor, None],
            sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs),
        )
    rows, heads, _, size = query.shape
    key_heads = key.shape[1]
    grouped = (query * scaling).view(rows, key_heads, heads // key_heads, size)
    result = attend(state, cast(int, module.layer_idx), grouped, key, value, softcap, sliding_window)
    return result.view(rows, 1, heads, value.shape[-1]), None


def _softcapped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, softcap: float
) -> Tensor:
    repeats = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, repeats), repeat_kv(value, repeats)
    scores = softcap * torch.tanh(query @ key.transpose(2, 3) * (scaling / softcap))
    if mask is None:
        length = query.shape[2]
        mask = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    if mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    else:
        scores = scores + mask
    share = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    return (share @ value).transpose(1, 2).contiguous()


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class _SuffixCache(DynamicCache):  # type: ignore[misc]
    """What a model's attention layers take for their cache while a batch is decoded."""

    def __init__(self, state: BatchState) -> None:
        super().__init__()
        self._state = state

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return self._state.append(layer_idx, key_states, value_states)


class TransformersEngine:
    """Any transformers model whose attention goes through the attention interface."""

    def __init__(self, model: nn.Module) -> None:
        self.model = cast(Any, model)
        self.vocabulary = int(self.model.get_output_embeddings().weight.shape[0])

    def prefill(self, tokens: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values per layer; padding to the right is harmless because attention is causal."""
        cache = DynamicCache()
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape[0], -1)
        self.model(input_ids=tokens, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return [layer.keys for layer in cache.layers], [layer.values for layer in cache.layers]

    def step(self, tokens: Tensor, state: BatchState) -> Tensor:
        """Logits (rows, vocabulary) in the model's dtype."""
        positions = state.lengths + state.used
        # A 4-dimensional mask is handed through as it is; `attention` needs none.
        mask = torch.zeros((1, 1, 1, 1), dtype=torch.bool, device=tokens.device)
        _active.state = state
        try:
            with reading(Part.ANSWER if state.used else Part.LAST_PROMPT):
                output = self.model(
                    input_ids=tokens[:, None],
                    attention_mask=mask,
                    position_ids=positions[:, None],
                    past_key_values=_SuffixCache(state),
                    use_cache=True,
                )
        finally:
            _active.state = None
        state.used += 1
        return cast(Tensor, output.logits)[:, -1]
