"""Which kinds of PEFT adapters and which of their settings are read, and why the others are refused.

The tables are the documentation's too (docs/adapters.md), and the tests hold them against the installed peft: every
kind and every LoRA setting of it stands in exactly one of them, and what is read here gives peft's own logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offtarget.errors import InputError

_PROMPT = "puts learned vectors in front of every prompt, which answers decoded side by side do not get"

READ_KINDS = {
    "LORA": "LoRA",
    "ADALORA": "AdaLoRA",
    "BEFT": "BEFT",
    "BOFT": "BOFT",
    "C3A": "C3A",
    "DEFT": "DEFT",
    "DELORA": "DeLoRA",
    "FOURIERFT": "FourierFT",
    "FROD": "FRoD",
    "GLORA": "GLoRA",
    "GRALORA": "GraLoRA",
    "HIRA": "HiRA",
    "HRA": "HRA",
    "IA3": "IA3",
    "LN_TUNING": "tuned norm layers",
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "MISS": "MiSS",
    "OFT": "OFT",
    "OSF": "OSF",
    "PEANUT": "PEANuT",
    "PSOFT": "PSOFT",
    "PVERA": "PVeRA",
    "RANDLORA": "RandLoRA",
    "ROAD": "RoAd",
    "SHIRA": "SHiRA",
    "SUPERTUNING": "super tuning",
    "TINYLORA": "TinyLoRA",
    "TRAINABLE_TOKENS": "trained tokens",
    "UNILORA": "Uni-LoRA",
    "VBLORA": "VB-LoRA",
    "VERA": "VeRA",
    "WAVEFT": "WaveFT",
}
"""Kinds by their `peft_type`; all act on one token at a time, so that answers can be decoded with a cache."""

REFUSED_KINDS = {
    "PROMPT_TUNING": _PROMPT,
    "MULTITASK_PROMPT_TUNING": _PROMPT,
    "P_TUNING": _PROMPT,
    "PREFIX_TUNING": _PROMPT,
    "CPT": _PROMPT,
    "CARTRIDGE": _PROMPT,
    "ADAPTION_PROMPT": "replaces the attention that answers are decoded with",
    "ADAMSS": "needs scikit-learn to be opened, and was never tested here",
    "LILY": "routes by the whole text, so that it answers differently when text comes token by token",
    "POLY": "needs the number of a task with every prompt",
    "XLORA": "mixes other adapters by a pass of its own before every token",
    "SHADOW": "changes what decoder layers hand on, which peft does not do for every model",
}

PLAIN_SETTINGS = frozenset(
    {
        "task_type",
        "peft_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "r",
        "target_modules",
        "exclude_modules",
        "lora_alpha",
        "lora_dropout",
        "fan_in_fan_out",
        "use_rslora",
        "init_lora_weights",
        "layers_to_transform",
        "layers_pattern",
        "rank_pattern",
        "alpha_pattern",
        "megatron_core",
        "qalora_group_size",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "runtime_config",
    }
)
"""LoRA settings under which an adapter adds scale * B A to weight matrices, whatever their values."""

FURTHER_SETTINGS = frozenset(
    {
        "bias",
        "modules_to_save",
        "trainable_token_indices",
        "use_dora",
        "velora_config",
        "monteclora_config",
        "lora_bias",
        "target_parameters",
        "use_bdlora",
        "ensure_weight_tying",
    }
)
"""LoRA settings that make more of an adapter; read where the base beside it proves to be the base."""

REFUSED_SETTINGS = {
    "alora_invocation_tokens": "activates the adapter from certain tokens on, which answers decoded with a cache miss",
    "arrow_config": "mixes other adapters, which are not in this folder",
    "kasa_config": "takes a part out of the base's weights when the adapter is loaded",
    "layer_replication": "builds a deeper base out of the base's layers",
    "megatron_config": "is for models split over devices by Megatron",
    "use_qalora": "fits a GPTQ-quantised base only",
}
"""LoRA settings that are refused when they are set."""

REFUSED_STARTS = {
    "pissa": "PiSSA",
    "olora": "OLoRA",
    "corda": "CorDA",
    "loftq": "LoftQ",
    "lora_ga": "LoRA-GA",
}
"""Values of `init_lora_weights`, or how they begin, that rewrite the base's weights for the adapter to start from."""

CONVERT = (
    "Convert it to plain LoRA where it was trained: save_pretrained(FOLDER, path_initial_model_for_weight_conversion="
    "FOLDER_OF_THE_ADAPTER_BEFORE_TRAINING); or merge it there (merge_and_unload) and compare the whole models."
)
MERGE = "Merge it where it was trained (merge_and_unload, save_pretrained) and compare the whole models."
MERGE_OR_SERVE = (
    "Merge it where it was trained (merge_and_unload, save_pretrained) and compare the whole models; what cannot be "
    "merged can be served, and compared by its endpoint (openai-api/SERVICE/MODEL)."
)


def check_kind(config: Mapping[str, Any], path: Path) -> None:
    """InputError, naming the setting of `path` and the way out, for an adapter that is not read."""
    kind = config.get("peft_type")
    if kind not in READ_KINDS:
        reason = REFUSED_KINDS.get(str(kind), "is unknown here")
        raise InputError(
            f"{path}: adapters of the kind {kind!r} are not supported: this kind {reason}. {MERGE_OR_SERVE}"
        )
    if kind != "LORA":
        return
    for name, reason in REFUSED_SETTINGS.items():
        if config.get(name):
            raise InputError(f"{path}: {name} is not supported: it {reason}. {MERGE_OR_SERVE}")
    start = rewriting_start(config)
    if start is not None:
        raise InputError(
            f"{path}: init_lora_weights={config['init_lora_weights']!r} ({start}) rewrites the base's weights when "
            f"the adapter is loaded, so that the base beside it would not be the base. {CONVERT}"
        )
    known = PLAIN_SETTINGS | FURTHER_SETTINGS | set(REFUSED_SETTINGS)
    unknown = sorted(name for name, value in config.items() if value and name not in known)
    if unknown:
        raise InputError(
            f"{path}: the setting {unknown[0]}={config[unknown[0]]!r} is unknown here, so what it does to the model "
            f"would be left out. {MERGE_OR_SERVE}"
        )


def rewriting_start(config: Mapping[str, Any]) -> str | None:
    """Name of the start that rewrites the base's weights, or None."""
    value = config.get("init_lora_weights")
    if not isinstance(value, str):
        return None
    return next((name for start, name in REFUSED_STARTS.items() if value.lower().startswith(start)), None)


def is_plain_lora(config: Mapping[str, Any]) -> bool:
    """Whether all that the adapter does is adding scale * B A to weight matrices."""
    if config.get("peft_type") != "LORA" or config.get("init_lora_weights") == "mica":
        return False
    more = (v for name, v in config.items() if name not in PLAIN_SETTINGS and (name, v) != ("bias", "none"))
    return not any(more)


def moves_base(config: Mapping[str, Any]) -> str | None:
    """The setting by which the base changes with the adapter, so that the adapter off is not the base; or None."""
    if config.get("bias") not in (None, "none"):
        return f"bias={config['bias']!r}"
    if config.get("peft_type") == "LORA" and rewriting_start(config) is not None:
        return f"init_lora_weights={config['init_lora_weights']!r}"
    for name in ("kasa_config", "layer_replication"):
        if config.get(name):
            return name
    return None
