"""What a LoRA adapter does to a model, worked out from its files alone."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from offtarget.models.adapter_kinds import is_plain_lora

WEIGHTS = "adapter_model.safetensors"
"""The only file of weights that peft reads."""
_ENDINGS = {
    ".lora_A.weight": ".lora_B.weight",
    ".lora_embedding_A": ".lora_embedding_B",
}


class Pair(NamedTuple):
    """The two matrices of a module's update, as its files hold them."""

    a: Tensor
    """(rank, in); of an embedding (rank, rows of the table)."""
    b: Tensor
    """(out, rank)."""
    embedding: bool


def read_config(folder: Path) -> dict[str, Any]:
    """The adapter's configuration file."""
    return dict(json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")))


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The adapter's tensors by their key in its file."""
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = load_file(str(folder / WEIGHTS))
    return tensors


class Change(NamedTuple):
    """What is added to a weight matrix, as two thin matrices; the scale is in `b`."""

    a: Tensor
    """(rank, in), float32."""
    b: Tensor
    """(out, rank), float32."""

    @property
    def dense(self) -> Tensor:
        """(out, in)."""
        return self.b @ self.a


@torch.inference_mode()
def weight_changes(folder: Path) -> dict[str, Change] | None:
    """scale * B A by module name, or None where the adapter is more than that or changes an embedding."""
    config = read_config(folder)
    pairs = lora_pairs(folder) if is_plain_lora(config) else None
    if pairs is None or any(pair.embedding for pair in pairs.values()):
        return None
    return {n: Change(p.a.float(), p.b.float() * lora_scale(config, n, p.a.shape[0])) for n, p in pairs.items()}


def lora_pairs(folder: Path) -> dict[str, Pair] | None:
    """The matrices of each adapted module, from the adapter's file; None where it holds anything else.

    Copies of the base's own embedding, which peft saves beside an adapter of it, change nothing and are passed over.
    """
    tensors = read_tensors(folder)
    pairs = {}
    rest = {key for key in tensors if not key.endswith(".base_layer.weight")}
    for key in sorted(rest):
        for mark, other in _ENDINGS.items():
            if key.endswith(mark):
                stem = key.removesuffix(mark)
                if stem + other not in tensors:
                    return None
                embedding = "embedding" in mark
                pairs[stem.removeprefix("base_model.model.")] = Pair(tensors[key], tensors[stem + other], embedding)
                rest -= {key, stem + other}
    return None if rest else pairs


def lora_scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """Strength of a module's update: alpha/r, or alpha/sqrt(r) with `use_rslora` (arXiv 2312.03732)."""
    alpha = float(_of_module(config, "alpha_pattern", module, config.get("lora_alpha", 8)))  # peft's own default
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def lora_rank(config: Mapping[str, Any], module: str) -> Any:
    """The rank that a configuration gives a module, as it is written there."""
    return _of_module(config, "rank_pattern", module, config.get("r", 8))


def _of_module(config: Mapping[str, Any], patterns: str, module: str, otherwise: Any) -> Any:
    for pattern, value in (config.get(patterns) or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return otherwise
