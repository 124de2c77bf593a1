"""The check on opening that an adapter does to a model what its files say.

Adapters that are silently not applied, or applied with alpha/r where the files say alpha/sqrt(r) (rsLoRA, Kalajdzievski
2023, arXiv 2312.03732), make a harmful tune look harmless. So the reference comes from the adapter's files, not from
the code that applies them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from offtarget.errors import InputError
from offtarget.models.lora import lora_pairs, lora_scale, more_than_lora, read_config
from offtarget.models.weights import Weights

_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}
"""Largest difference from the reference, as a share of the adapter's largest effect on the logits."""


@torch.inference_mode()
def check_adapter(weights: Weights, adapter: str, prompts: Sequence[Sequence[int]]) -> str:
    """One sentence on what was verified; InputError when the adapter has no effect or the wrong one.

    Compares logits on `prompts` with the adapter on to those of the base plus scale * B A at every adapted module
    (LoRA, arXiv 2106.09685, section 4.1), scale = alpha/r or, for rsLoRA, alpha/sqrt(r).
    """
    folder = weights.adapters[adapter]
    config = read_config(folder)
    kind = "rsLoRA" if config.get("use_rslora") else "LoRA"
    with weights.using(adapter):
        tuned = _logits(weights, prompts)
    with weights.using(None):
        base = _logits(weights, prompts)
    effect = max(_gap(t, b) for t, b in zip(tuned, base, strict=True))
    largest = max(float(b.abs().max()) for b in base)
    if not math.isfinite(effect):
        raise InputError(f"{folder}: the adapter's logits are not finite numbers. Its weights are broken.")
    if effect <= 1e-6 * largest:
        raise InputError(
            f"{folder}: the adapter changes nothing ({kind}, largest change of a logit {effect:.1e}). "
            "It is untrained, or was not loaded; comparing it with its base would be a false all-clear."
        )
    if more_than_lora(config):
        return (
            f"{folder.name}: the adapter changes logits by up to {effect:.3g}; "
            "its strength was not verified, because it is more than plain LoRA."
        )
    with weights.using(None), ExitStack() as hooks:
        scale = _hook_reference(weights, folder, config, hooks)
        reference = _logits(weights, prompts)
    gap = max(_gap(t, r) for t, r in zip(tuned, reference, strict=True))
    # Rounding of the logits themselves is no fault of the adapter.
    allowed = _TOLERANCE[weights.dtype] * effect + 4 * torch.finfo(getattr(torch, weights.dtype)).eps * largest
    if not gap <= allowed:
        raise InputError(
            f"{folder}: with the adapter on, logits differ by {gap:.3g} from base + scale * B A computed from its "
            f"files ({kind}, scale {scale:.4g}), while the adapter's whole effect is {effect:.3g}. "
            "The installed peft applies it wrongly; try another version of peft."
        )
    return (
        f"{folder.name}: logits with the adapter switched on equal base + {scale:.4g} * B A ({kind}) to {gap:.1e} "
        f"on {len(prompts)} prompts; the adapter's effect is up to {effect:.3g}."
    )


@torch.inference_mode()
def check_merged(weights: Weights, adapter: str, prompts: Sequence[Sequence[int]]) -> str:
    """One sentence on how an adapter merged into the weights compares with the same adapter switched on.

    InputError when they differ: some versions of peft merge rank-stabilised adapters sqrt(r) times too strongly.
    """
    with weights.using(adapter):
        switched = _logits(weights, prompts)
    with weights.using(None):
        base = _logits(weights, prompts)
    with weights.using(adapter):
        weights.model.merge_adapter([adapter])
        try:
            merged = _logits(weights, prompts)
        finally:
            weights.model.unmerge_adapter()
    gap = max(_gap(m, s) for m, s in zip(merged, switched, strict=True))
    effect = max(_gap(s, b) for s, b in zip(switched, base, strict=True))
    largest = max(float(b.abs().max()) for b in base)
    # merging rounds every weight, so that a small effect drowns in what that does to the logits
    rounding = 64 * torch.finfo(getattr(torch, weights.dtype)).eps * largest
    if not gap <= _TOLERANCE[weights.dtype] * effect + rounding:
        raise InputError(
            f"{weights.adapters[adapter]}: merged into the weights, the adapter gives logits that differ by {gap:.3g} "
            f"from those with it switched on; its whole effect is {effect:.3g}. The installed peft merges it wrongly; "
            "try another version of peft."
        )
    return f"{weights.adapters[adapter].name}: merged into the base it gives the same logits to {gap:.1e}."


def _logits(weights: Weights, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    rows = []
    for prompt in prompts:
        tokens = torch.tensor([list(prompt)], device=weights.device)
        rows.append(weights.engine.model(input_ids=tokens, use_cache=False).logits[0].float())
    return rows


def _gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _hook_reference(weights: Weights, folder: Path, config: dict[str, Any], hooks: ExitStack) -> float:
    """Add scale * B A to the output of every adapted module; return the (last) scale."""
    modules = dict(weights.model.named_modules())
    scale = 0.0
    pairs = lora_pairs(folder)
    for name, (a, b) in pairs.items():
        module = modules.get(f"base_model.model.{name}.base_layer")
        if module is None:
            raise InputError(f"{folder}: peft did not put the adapter on {name}, which its files change.")
        scale = lora_scale(config, name, a.shape[0])
        hook = _reference_hook(a.to(weights.device), b.to(weights.device), scale)
        hooks.callback(module.register_forward_hook(hook).remove)
    return scale


def _reference_hook(a: Tensor, b: Tensor, scale: float) -> Any:
    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change = inputs[0].float() @ a.float().T @ b.float().T
        return output + (scale * change).to(output.dtype)

    return add
