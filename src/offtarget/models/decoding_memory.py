"""What decoding takes in memory beyond the weights, worked out before it starts, and the batch that fits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from offtarget.machine import free_memory
from offtarget.models.decoding import FILLED_TOGETHER, ROWS_IN_CACHE
from offtarget.models.kept_prefixes import MOST_BYTES
from offtarget.models.shared_prefix import CHUNK, most_columns, padded_length

if TYPE_CHECKING:
    from offtarget.models.weights import Weights

_CPU_ROWS = 512
_CUDA_ROWS = 1024
_CPU_BYTES = 1 << 30
"""1 GiB. More rows at once make a CPU hardly faster, and a check of a small model shall fit beside other work."""
_WORKING = 32 << 20
"""What the libraries allocate for themselves."""


@dataclass(frozen=True, slots=True)
class DecodingNeeds:
    """Bytes of one batch."""

    fixed: int
    per_row: int

    def of(self, rows: int) -> int:
        """Bytes at the most, for so many rows that all go on to the limit."""
        return self.fixed + rows * self.per_row


def decoding_needs(weights: Weights, prompts: Collection[int], answers: int, max_tokens: int) -> DecodingNeeds:
    """What so many answers of up to `max_tokens` tokens take; `prompts` are the lengths of their different prompts.

    Keys and values of every answer and of every prompt (in the batch, for each eight rows, and kept for later), what
    a pass over prompts holds, and logits with the probabilities worked out from them.
    """
    config = weights.model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    on_cpu = weights.device.type == "cpu"
    number = 4 if weights.dtype == "float32" else 2
    # the fused engine, which a CPU mostly has, keeps keys and values in float32
    token = 2 * config.num_hidden_layers * heads * size * (4 if on_cpu else number)
    padded = [padded_length(length - 1) * token for length in prompts]
    longest = max(padded, default=0)
    prefix = longest * 2 * min(len(padded), answers) // max(1, answers) + longest // CHUNK
    chosen = weights.engine.vocabulary * 12 * (ROWS_IN_CACHE if on_cpu else 0)
    kept = min(MOST_BYTES, sum(padded))
    # one layer is there twice while it grows
    suffix = int(most_columns(max_tokens) * token * (1 + 1 / config.num_hidden_layers))
    logits = weights.engine.vocabulary * (2 * number if on_cpu else number + 24)
    inner = 4 * (3 * (getattr(config, "intermediate_size", None) or 4 * config.hidden_size) + 6 * config.hidden_size)
    filling = inner * FILLED_TOGETHER * max(map(padded_length, prompts), default=0)
    return DecodingNeeds(kept + chosen + filling + _WORKING, suffix + prefix + logits + inner)


def batch_rows(weights: Weights, prompts: Collection[int], answers: int, max_tokens: int) -> int:
    """Rows per batch that take at most half of the free memory, and on a CPU at most 1 GiB."""
    needs = decoding_needs(weights, prompts, answers, max_tokens)
    if weights.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(weights.device)
        room, most = free // 2, _CUDA_ROWS
    else:
        left = free_memory()
        room, most = min(_CPU_BYTES if left is None else left // 2, _CPU_BYTES), _CPU_ROWS
    return int(max(1, min(most, (room - needs.fixed) // needs.per_row)))
