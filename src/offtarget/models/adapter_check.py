"""The check on opening that an adapter does to a model what its files say.

Adapters that are silently not applied, or applied with alpha/r where the files say alpha/sqrt(r) (rsLoRA, Kalajdzievski
2023, arXiv 2312.03732), make a harmful tune look harmless. So the reference comes from the adapter's files, not from
the code that applies them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from offtarget.errors import InputError
from offtarget.models.adapter_kinds import MERGE_OR_SERVE, READ_KINDS, is_plain_lora
from offtarget.models.decoding import start_batch
from offtarget.models.lora import Pair, lora_pairs, lora_scale, read_config
from offtarget.models.weights import Weights

_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}
"""Largest difference from the reference, as a share of the adapter's largest effect on the logits."""


@torch.inference_mode()
def check_adapter(weights: Weights, adapter: str, prompts: Sequence[Sequence[int]]) -> str:
    """One sentence on what was verified; InputError when the adapter has no effect or the wrong one.

    Of plain LoRA: logits on `prompts` with the adapter on are those of the base plus scale * B A at every adapted
    module (arXiv 2106.09685, section 4.1), scale = alpha/r or, for rsLoRA, alpha/sqrt(r), computed from the files on
    modules that were the base's before peft came. Of all others: answers decoded token by token have the logits of
    one pass of the whole text through peft's model.
    """
    folder = weights.adapters[adapter]
    config = read_config(folder)
    kind = READ_KINDS[config["peft_type"]]
    kind = "rsLoRA" if kind == "LoRA" and config.get("use_rslora") else kind
    prompts = [*prompts, *_of_trained_tokens(config)]
    updates = _updates(weights, folder, config)
    with weights.using(adapter):
        tuned = _logits(weights, prompts)
    with weights.using(None), ExitStack() as hooks:
        base = _logits(weights, prompts)
        for update in updates or ():
            hooks.callback(update.module.register_forward_hook(_reference_hook(update)).remove)
        reference = base if updates is None else _logits(weights, prompts)
    effect = max(_gap(t, b) for t, b in zip(tuned, base, strict=True))
    largest = max(float(b.abs().max()) for b in base)
    if not math.isfinite(effect):
        raise InputError(f"{folder}: the adapter's logits are not finite numbers. Its weights are broken.")
    if effect <= 1e-6 * largest:
        raise InputError(
            f"{folder}: the adapter changes nothing ({kind}, largest change of a logit {effect:.1e}). "
            "It is untrained, or was not loaded; comparing it with its base would be a false all-clear."
        )
    # Rounding of the logits themselves is no fault of the adapter.
    allowed = _TOLERANCE[weights.dtype] * effect + 4 * torch.finfo(getattr(torch, weights.dtype)).eps * largest
    if updates is None:
        reason = "peft joins or renames what its files hold" if is_plain_lora(config) else "it is more than plain LoRA"
        gap = _decoding_gap(weights, adapter, prompts[0], tuned[0])
        if not gap <= allowed:
            raise InputError(
                f"{folder}: adapters like this ({kind}) are not supported: decoded token by token, logits differ by "
                f"{gap:.3g} from those of one pass, while the adapter's whole effect is {effect:.3g}. {MERGE_OR_SERVE}"
            )
        return (
            f"{folder.name}: the adapter ({kind}) changes logits by up to {effect:.3g}, in one pass and token by token "
            f"alike, to {gap:.1e}; its strength was not verified, because {reason}."
        )
    least, most = min(update.scale for update in updates), max(update.scale for update in updates)
    scale = f"{least:.4g}" if least == most else f"(from {least:.4g} to {most:.4g})"  # alpha_pattern, rank_pattern
    gap = max(_gap(t, r) for t, r in zip(tuned, reference, strict=True))
    if not gap <= allowed:
        raise InputError(
            f"{folder}: with the adapter on, logits differ by {gap:.3g} from base + scale * B A computed from its "
            f"files ({kind}, scale {scale}), while the adapter's whole effect is {effect:.3g}. "
            "The installed peft applies it wrongly; try another version of peft."
        )
    return (
        f"Adapter loaded correctly: with {folder.name} switched on, logits equal base + {scale} * B A ({kind}) to "
        f"{gap:.1e} on {len(prompts)} prompts; the adapter's effect is up to {effect:.3g}."
    )


def _of_trained_tokens(config: Mapping[str, Any]) -> list[list[int]]:
    """A prompt of the tokens whose embeddings were trained, which an ordinary prompt need not hold."""
    given = config.get("trainable_token_indices") or config.get("token_indices") or []
    lists = list(given.values()) if isinstance(given, dict) else [given]
    tokens = sorted({int(token) for one in lists for token in one})[:32]
    return [tokens] if tokens else []


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tied embeddings, which the comparison finds where they matter
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
        tied = weights.model.get_input_embeddings().weight is weights.model.get_output_embeddings().weight
        cause = (
            "The base has one matrix for input and output embeddings; an adapter of one of them merges into both."
            if tied
            else "The installed peft merges it wrongly; try another version of peft."
        )
        raise InputError(
            f"{weights.adapters[adapter]}: merged into the weights, the adapter gives logits that differ by {gap:.3g} "
            f"from those with it switched on; its whole effect is {effect:.3g}. {cause}"
        )
    return f"{weights.adapters[adapter].name}: merged into the base it gives the same logits to {gap:.1e}."


def _logits(weights: Weights, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Logits (tokens, vocabulary) of each prompt, in one pass: padding to the right does nothing to what is before."""
    tokens = torch.zeros((len(prompts), max(map(len, prompts))), dtype=torch.long)
    for i, prompt in enumerate(prompts):
        tokens[i, : len(prompt)] = torch.tensor(list(prompt))
    logits = weights.engine.model(input_ids=tokens.to(weights.device), use_cache=False).logits
    return [row[: len(prompt)].float() for row, prompt in zip(logits, prompts, strict=True)]


def _gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


class _Update(NamedTuple):
    """What plain LoRA adds to the output of one module of the base."""

    module: nn.Module
    pair: Pair
    scale: float


def _updates(weights: Weights, folder: Path, config: Mapping[str, Any]) -> list[_Update] | None:
    """The updates that the files ask for; None where the adapter is more than plain LoRA, or its modules are not found.

    Files of an earlier version of transformers name modules otherwise. Which is which then follows from which module
    peft gave a matrix of the files to; matrix, scale and what is done with them still come from the files.
    """
    pairs = lora_pairs(folder) if is_plain_lora(config) else None
    if pairs is None or weights.untouched is None:
        return None
    modules = weights.untouched.modules
    if not pairs.keys() <= modules.keys():
        pairs = _renamed(weights, folder, pairs)
        if pairs is None:
            return None
    updates = []
    for name, pair in pairs.items():
        scale = lora_scale(config, name, pair.a.shape[0])
        if pair.embedding:  # Gemma's embedding multiplies what it looks up
            scale *= float(getattr(modules[name], "embed_scale", 1.0))
        pair = Pair(pair.a.to(weights.device), pair.b.to(weights.device), pair.embedding)
        updates.append(_Update(modules[name], pair, scale))
    return updates


def _renamed(weights: Weights, folder: Path, pairs: Mapping[str, Pair]) -> dict[str, Pair] | None:
    adapter = next(name for name, path in weights.adapters.items() if path == folder)
    found = {}
    left = dict(pairs)
    for name, module in weights.model.get_base_model().named_modules():
        if adapter not in getattr(module, "lora_A", {}):
            continue
        a, b = module.lora_A[adapter].weight.cpu(), module.lora_B[adapter].weight.cpu()
        same = [key for key, p in left.items() if _equal(p.a, a) and _equal(p.b, b)]
        if len(same) != 1:
            return None
        found[name] = left.pop(same[0])
    return None if left else found


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.to(other.dtype), other)


def _reference_hook(update: _Update) -> Any:
    a, b = update.pair.a.float(), update.pair.b.float()

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        inner = F.embedding(inputs[0], a.T) if update.pair.embedding else inputs[0].float() @ a.T
        return output + (update.scale * (inner @ b.T)).to(output.dtype)

    return add


def _decoding_gap(weights: Weights, adapter: str, prompt: Sequence[int], whole: Tensor) -> float:
    """Largest difference of the logits of a prompt's second half, decoded token by token, from those of one pass."""
    half = max(1, len(prompt) // 2)
    with weights.fastest(adapter) as engine:
        state = start_batch(engine, [prompt[:half]], [0], weights.device)
        steps = [engine.step(torch.tensor([t], device=weights.device), state).float() for t in prompt[half - 1 :]]
    return _gap(torch.cat(steps), whole[half - 1 :])
