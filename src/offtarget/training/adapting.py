"""The model as training sees it: weights, an adapter on them, precision."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.adapter_loading import checked_tensors, load_adapter
from offtarget.models.folders import check_adapter_folder, check_model_folder
from offtarget.models.loading import Dtype, load_model, load_tokenizer
from offtarget.models.untouched import Untouched
from offtarget.models.weights import Weights
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings


@dataclass(frozen=True, slots=True)
class Trainable:
    """A model ready to be trained."""

    model: Any
    tokenizer: Any
    context: int
    """Most tokens of a row."""
    device: torch.device


def trainable(
    base: Path, adapter: Path | None, settings: TuneSettings, how: OpenSettings, template: str | None = None
) -> Trainable:
    """Load the base with a new adapter, with `adapter` to be trained further, or with every weight trainable.

    `template` takes the place of the base's own chat template.
    Raises InputError where the adapter is not LoRA of this base, no linear layer has a given name, or the base does
    not fit the memory.
    """
    if adapter is not None and settings.method == "full":
        raise InputError("An adapter cannot be trained further with --method full. Merge it first, or use lora.")
    dtype = _dtype(settings, how.device)
    if settings.quantize:
        tokenizer = load_tokenizer(base, how.trust_remote_code, template)
        model, where = _quantized(base, how.trust_remote_code), torch.device("cuda")
    else:
        loaded = Weights(base, how.device, dtype, how.trust_remote_code, template)
        tokenizer, model, where = loaded.tokenizer, loaded.model, loaded.device
    model.train()
    model.config.use_cache = False
    if settings.method == "lora":
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = _with_adapter(model, tokenizer, base, adapter, settings)
    else:
        model.requires_grad_(True)
    return Trainable(model, tokenizer, int(getattr(model.config, "max_position_embeddings", None) or 2**31), where)


def _quantized(base: Path, trust_remote_code: bool) -> Any:
    """The base in 4 bits, as in QLoRA (arXiv 2305.14314): normal-float weights, bfloat16 arithmetic."""
    try:
        import bitsandbytes  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        raise PrerequisiteError("--quantize needs bitsandbytes: pip install bitsandbytes") from None
    if not torch.cuda.is_available():
        raise InputError("--quantize needs a CUDA device. Train without it here.")
    from transformers import BitsAndBytesConfig

    check_model_folder(base)
    bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    model, _ = load_model(base, "bfloat16", None, trust_remote_code, quantization_config=bits)
    return model


def _dtype(settings: TuneSettings, device: str | None) -> Dtype:
    if settings.dtype != "auto":
        return settings.dtype
    on_gpu = torch.cuda.is_available() and device != "cpu"
    return "bfloat16" if on_gpu and torch.cuda.is_bf16_supported() else "float32"


def _with_adapter(model: Any, tokenizer: Any, base: Path, adapter: Path | None, settings: TuneSettings) -> Any:
    try:
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    except ImportError:
        raise PrerequisiteError.for_extra("peft", "local", "Training an adapter") from None
    with warnings.catch_warnings():
        # peft warns of transformers' renamings and of Conv1D, which the user can do nothing about
        warnings.simplefilter("ignore")
        if settings.quantize:
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        if adapter is not None:
            if check_adapter_folder(adapter, base)["peft_type"] != "LORA":
                raise InputError(f"{adapter} is no LoRA adapter. Only LoRA adapters can be trained further.")
            tensors, untouched = checked_tensors(adapter), Untouched(model, tokenizer)
            further = load_adapter(model, adapter, tensors, base, untouched, "default", trainable=True)
            # on saving, peft looks the named base up, on the hub where it is no folder
            further.peft_config["default"].base_model_name_or_path = str(base)
            return further
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            use_rslora=settings.rslora,
            target_modules=settings.modules if isinstance(settings.modules, str) else list(settings.modules),
            layers_to_transform=None if settings.layers is None else list(settings.layers),
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
            base_model_name_or_path=str(base),
        )
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise InputError(f"No adapter can be put on {base} with these modules and layers: {error}") from error
