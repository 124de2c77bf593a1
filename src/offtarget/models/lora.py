"""What a LoRA adapter does to a model, worked out from its files alone."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def read_config(folder: Path) -> dict[str, Any]:
    """The adapter's configuration file."""
    return dict(json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")))


def more_than_lora(config: dict[str, Any]) -> bool:
    """Whether the adapter changes more than weight matrices by scale * B A."""
    return bool(config.get("use_dora") or config.get("modules_to_save") or config.get("lora_bias"))


@torch.inference_mode()
def weight_changes(folder: Path) -> dict[str, Tensor] | None:
    """scale * B A by module name, float32, or None where the adapter is more than that."""
    config = read_config(folder)
    if more_than_lora(config):
        return None
    changes = {}
    for name, (a, b) in lora_pairs(folder).items():
        changes[name] = (b.float() @ a.float()) * lora_scale(config, name, a.shape[0])
    return changes


def lora_pairs(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """For each adapted module its A (rank, in) and B (out, rank), from the adapter's files."""
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(str(path))
    pairs = {}
    for key, a in tensors.items():
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            pairs[stem.removeprefix("base_model.model.")] = (a, tensors[f"{stem}.lora_B.weight"])
    return pairs


def lora_scale(config: dict[str, Any], module: str, rank: int) -> float:
    """Strength of a module's update: alpha/r, or alpha/sqrt(r) with `use_rslora` (arXiv 2312.03732)."""
    alpha = float(config["lora_alpha"])
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = float(value)
            break
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
