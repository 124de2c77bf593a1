"""Every kind of adapter and every LoRA setting of PEFT, as adapters for tiny models: what the tests open."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.lora.config import BdLoraConfig, MontecloraConfig, VeloraConfig

ARCHITECTURES = ("llama", "gpt2", "gemma3")
"""Ordinary names and tied embeddings; transposed matrices and biases; scaled embeddings and windows."""
TOKENS = torch.randint(3, 60, (1, 20), generator=torch.Generator().manual_seed(0))

NAMES = {
    "llama": {
        "attention": ["q_proj", "v_proj"],
        "table": "embed_tokens",
        "norm": "input_layernorm",
        "blocks": "layers",
    },
    "gpt2": {"attention": ["c_attn"], "table": "wte", "norm": "ln_1", "blocks": "h"},
}
NAMES["gemma3"] = NAMES["llama"]


@dataclass(frozen=True)
class Option:
    """One value of a LoRA setting."""

    field: str
    name: str
    values: Mapping[str, Any]
    """Settings; a value in braces, such as {table}, is a name that differs between architectures."""
    refused: Mapping[str, str]
    """What the refusal says by architecture; empty where the adapter is read everywhere."""


def _option(field: str, name: str = "", /, refused: Mapping[str, str] | None = None, **values: Any) -> Option:
    return Option(field, name or field, values, refused or {})


_BASE = "rewrites the base"

OPTIONS = [
    _option("r", r=6),
    _option("lora_alpha", lora_alpha=3),
    _option("lora_dropout", lora_dropout=0.3),
    _option("target_modules", "all linear", target_modules="all-linear"),
    _option("target_modules", "regular expression", target_modules=r".*\.0\..*(q_proj|c_attn)"),
    _option("target_modules", "embedding", target_modules=["{attention}", "{table}"]),
    _option("target_modules", "output embedding", target_modules=["{attention}", "lm_head"]),
    _option("exclude_modules", exclude_modules=r".*\.0\..*"),
    _option("fan_in_fan_out", fan_in_fan_out=True),
    _option("use_rslora", use_rslora=True),
    _option("init_lora_weights", "gaussian", init_lora_weights="gaussian"),
    _option("init_lora_weights", "random", init_lora_weights=False),
    _option("init_lora_weights", "orthogonal", init_lora_weights="orthogonal"),
    _option("init_lora_weights", "eva", init_lora_weights="eva"),
    _option("init_lora_weights", "mica", init_lora_weights="mica"),
    _option("layers_to_transform", layers_to_transform=[1]),
    _option("layers_pattern", layers_to_transform=[0], layers_pattern="{blocks}"),
    _option("rank_pattern", rank_pattern={"0.*(q_proj|c_attn)": 2}),
    _option("alpha_pattern", alpha_pattern={"q_proj": 3, "c_attn": 3}),
    _option("alpha_pattern", "rsLoRA", alpha_pattern={r"1\..*": 3}, use_rslora=True, rank_pattern={r"1\..*": 2}),
    # Only GPT-2 of these has biases.
    _option("bias", "all biases", {"gpt2": _BASE + r".*bias='all'"}, bias="all"),
    _option("bias", "biases of LoRA", {"gpt2": _BASE + r".*bias='lora_only'"}, bias="lora_only"),
    _option("modules_to_save", "output saved", modules_to_save=["lm_head"]),
    _option("modules_to_save", "embedding saved", modules_to_save=["{table}"]),
    _option("modules_to_save", "both saved", modules_to_save=["{table}", "lm_head"]),
    _option("modules_to_save", "norms saved", modules_to_save=["{norm}"]),
    _option("trainable_token_indices", trainable_token_indices=[1, 2, 20, 30]),
    _option("use_dora", use_dora=True),
    _option("use_dora", "DoRA of the embedding", use_dora=True, target_modules=["{table}"]),
    _option("velora_config", velora_config=VeloraConfig(num_groups=4)),
    _option("monteclora_config", monteclora_config=MontecloraConfig()),
    _option("lora_bias", lora_bias=True),
    _option("target_parameters", target_modules=[], target_parameters=["q_proj.weight", "c_attn.weight"]),
    _option("use_bdlora", use_bdlora=BdLoraConfig(target_modules_bd_b=["q_proj", "v_proj"], nblocks=2)),
    _option(
        "ensure_weight_tying", "tied embedding", target_modules=["{attention}", "{table}"], ensure_weight_tying=True
    ),
    # With GPT-2's names, peft puts the saved embedding into the base.
    _option(
        "ensure_weight_tying",
        "both saved, tied",
        {"gpt2": _BASE + ".*modules_to_save"},
        modules_to_save=["{table}", "lm_head"],
        ensure_weight_tying=True,
    ),
]

NOT_OPTIONS = {
    "task_type": "says what a model is for",
    "peft_type": "the kinds have tests of their own",
    "auto_mapping": "names classes of custom models",
    "peft_version": "says who wrote the file",
    "base_model_name_or_path": "says where the base was",
    "revision": "says which version of the base it was",
    "inference_mode": "set on loading",
    "megatron_core": "names a module that only megatron_config, which is refused, makes use of",
    "qalora_group_size": "only read with use_qalora, which is refused",
    "loftq_config": "only read with init_lora_weights, which is refused then",
    "corda_config": "only read with init_lora_weights, which is refused then",
    "lora_ga_config": "only read with init_lora_weights, which is refused then",
    "eva_config": "only read while training begins",
    "runtime_config": "never saved",
}
"""LoRA settings that are read whatever they say, and why they need no adapter of their own."""

UNMAKEABLE = {("gpt2", "use_bdlora")}
"""Options that peft makes no adapter with."""

KINDS: dict[str, dict[str, Any]] = {
    "ADALORA": {"total_step": 10},
    "C3A": {"block_size": 4},
    "FOURIERFT": {"n_frequency": 20},
    "IA3": {"feedforward_modules": []},
    "LN_TUNING": {"target_modules": ["{norm}"]},
    "MISS": {"r": 4},
    "PSOFT": {"r": 4},
    "PVERA": {"r": 4},
    "RANDLORA": {"r": 4},
    "ROAD": {"group_size": 8},
    "SHIRA": {"r": 4},
    "TRAINABLE_TOKENS": {"target_modules": None, "token_indices": [1, 2, 3, 20, 30]},
    "VBLORA": {"vector_length": 4, "num_vectors": 8, "topk": 2},
    "VERA": {"r": 4},
    "WAVEFT": {"n_frequency": 20},
}
"""Settings by kind where the defaults do not fit a tiny model."""


def config(kind: str, architecture: str, values: Mapping[str, Any]) -> Any:
    """The PEFT configuration of an adapter of a kind for a tiny model."""
    names = NAMES[architecture]

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            found = [filled(one) for one in value]
            return [x for one in found for x in (one if isinstance(one, list) else [one])]
        return names.get(value[1:-1], value) if isinstance(value, str) and value.startswith("{") else value

    settings: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": names["attention"]}
    settings |= {"r": 4} if kind == "LORA" else {}
    settings |= {name: filled(value) for name, value in values.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(kind)](**settings)


@functools.cache
def _loaded(base: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


def opened_alone(base: Path) -> Any:
    """The base as transformers opens it, the caller's own; copying takes a tenth of the time of reading."""
    return copy.deepcopy(_loaded(base))


def made(base: Path, settings: Any, folder: Path) -> torch.Tensor:
    """Saves an adapter with random weights; the logits that peft's own model had before it was saved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of renamings and of Conv1D
        torch.manual_seed(1)
        model = peft.get_peft_model(opened_alone(base), settings)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn(parameter.shape))
        model.eval()
        with torch.inference_mode():
            logits: torch.Tensor = model(input_ids=TOKENS).logits[0]
        model.save_pretrained(folder)
    return logits


def opened_by_peft(base: Path, folder: Path) -> torch.Tensor:
    """Logits of a fresh transformers model with the adapter, opened by peft alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.PeftModel.from_pretrained(opened_alone(base), str(folder)).eval()
        with torch.inference_mode():
            logits: torch.Tensor = model(input_ids=TOKENS).logits[0]
    return logits
