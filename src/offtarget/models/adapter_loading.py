"""Puts an adapter beside a base through PEFT, and makes sure that what is loaded is all that its folder holds."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from offtarget.errors import InputError
from offtarget.models.adapter_kinds import MERGE, moves_base
from offtarget.models.contents import read_config as read_base
from offtarget.models.contents import refuse_pointer
from offtarget.models.loading import wrapper_of
from offtarget.models.lora import WEIGHTS, lora_rank, read_config, read_tensors
from offtarget.models.untouched import Untouched
from offtarget.numbers import many

_NAMED = 3
"""Keys named in a message."""


def load_adapter(
    model: Any,
    folder: Path,
    tensors: Mapping[str, Tensor],
    base: Path,
    untouched: Untouched,
    name: str,
    *,
    trainable: bool = False,
) -> Any:
    """The PEFT model of `model` with the adapter of `folder` under `name`; `untouched` is the base before any.

    The folder is one that `check_adapter_folder` has passed, with `checked_tensors`. InputError when a key is missing
    or left over, shapes are those of another base, peft refuses, or the base is another with the adapter off. The model
    is spoilt after an error.
    """
    from peft import PeftConfig, PeftModel, PeftModelForCausalLM

    try:
        with warnings.catch_warnings():
            # peft warns of transformers' renamings, which the user can do nothing about, and of missing keys, which
            # are an error here.
            warnings.simplefilter("ignore")
            config = PeftConfig.from_pretrained(str(folder))
            _check_known(config, folder)
            config.inference_mode = not trainable
            mapping = getattr(model, "_checkpoint_conversion_mapping", None) or None
            if isinstance(model, PeftModel):
                model.add_adapter(name, config)
            else:
                model = PeftModelForCausalLM(model, config, adapter_name=name)
            result = model.load_adapter(str(folder), adapter_name=name, is_trainable=trainable, key_mapping=mapping)
    except InputError:
        raise
    except Exception as error:  # peft's kinds of adapters raise all sorts of errors for a base they do not fit
        known = (
            _unpaired(tensors, folder)
            or _misfit(tensors, folder, base, untouched.modules)
            or _other_rank(tensors, folder)
        )
        raise InputError(known or _refused(folder, base, error)) from error
    state = model.state_dict()
    loaded = {state[key].data_ptr() for key in state.keys() - set(result.missing_keys) if f".{name}" in key}
    # a tensor that several modules share is saved once
    missing = [key for key in result.missing_keys if state[key].data_ptr() not in loaded]
    if missing:
        raise InputError(
            _other_names(result.unexpected_keys, name, folder) or _incomplete(tensors, missing, name, folder, base)
        )
    if result.unexpected_keys:
        raise InputError(
            _misfit(tensors, folder, base, untouched.modules)
            or f"{folder} holds {many(len(result.unexpected_keys), 'tensor')} that would be left out "
            f"({_names(result.unexpected_keys, name)}): its configuration (target_modules, modules_to_save) does not "
            "name their modules. Correct adapter_config.json, or save the adapter again."
        )
    with switched_off(model):
        moved = untouched.differs(model)
    if moved is not None:
        raise InputError(_rewrites(folder, config.to_dict(), moved, quantised="quantization_config" in read_base(base)))
    return model


@contextmanager
def switched_off(model: Any) -> Iterator[None]:
    """All adapters of a PEFT model off."""
    with ExitStack() as stack:
        with warnings.catch_warnings():
            # peft warns of trained biases, which would stay; that none does is measured when an adapter is loaded
            warnings.simplefilter("ignore")
            stack.enter_context(model.disable_adapter())
        yield


def _rewrites(folder: Path, config: Mapping[str, Any], moved: str, *, quantised: bool) -> str:
    if quantised:  # measured with bitsandbytes 0.50 on a CPU with AVX512-BF16
        return (
            f"{folder} cannot be compared with its quantised base here: with the adapter beside it and off, {moved}. "
            "The package that opens the quantised weights stores them anew when they are first run. Name the "
            "full-precision base (hf/BASE+ADAPTER), or ask both on a GPU."
        )
    setting = moves_base(config)
    if setting is None and config.get("modules_to_save"):
        setting = f"modules_to_save={config['modules_to_save']!r}"
    cause = "" if setting is None else f" The cause is probably {setting}."
    return (
        f"{folder} rewrites the base: with the adapter off, {moved}.{cause} What changes the base cannot be compared "
        f"with it. {MERGE}"
    )


def checked_tensors(folder: Path) -> dict[str, Tensor]:
    """The adapter's tensors. InputError where one is empty, as training under ZeRO-3 leaves it, or not finite."""
    from safetensors import SafetensorError

    refuse_pointer(folder / WEIGHTS)
    try:
        tensors = read_tensors(folder)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{folder / WEIGHTS} cannot be read: {error}. Copy or save it again.") from None
    empty = [key for key, tensor in tensors.items() if tensor.numel() == 0]
    if not tensors:
        raise InputError(f"{folder / WEIGHTS} holds no tensors: there is no adapter in it. Save it again.")
    if empty:
        raise InputError(
            f"{folder}: {len(empty)} of {len(tensors)} tensors are empty ({_names(empty)}). It was saved under ZeRO-3 "
            "or FSDP without gathering the weights; save it again from the gathered weights."
        )
    broken = [key for key, tensor in tensors.items() if tensor.is_floating_point() and not _finite(tensor)]
    if broken:
        raise InputError(
            f"{folder}: {len(broken)} of {len(tensors)} tensors hold values that are not finite numbers "
            f"({_names(broken)}). Its weights are broken; use a checkpoint from before."
        )
    return tensors


def _finite(tensor: Tensor) -> bool:
    # the sum of squares is much quicker than looking at each; where it overflows, each is looked at
    return bool(tensor.float().square().sum().isfinite()) or bool(torch.isfinite(tensor).all())


def _check_known(config: Any, folder: Path) -> None:
    """Settings that the installed peft has never heard of, and would leave out with no more than a warning."""
    import json

    import peft

    known = {field.name for field in dataclasses.fields(config)}
    given = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    unknown = sorted(name for name, value in given.items() if value and name not in known)
    if unknown:
        raise InputError(
            f"{folder / 'adapter_config.json'}: the installed peft {peft.__version__} does not know the setting "
            f"{unknown[0]}={given[unknown[0]]!r} and would leave it out. Update peft."
        )


def _other_names(left_over: list[str], adapter: str, folder: Path) -> str | None:
    """What names say that a wrapper or a tool wrote; None where no tensor is left over."""
    if not left_over:
        return None
    keys = [key.removeprefix("base_model.model.").replace(f".{adapter}", "") for key in left_over]
    cause = wrapper_of(keys)
    if cause is None and any(".default" in key for key in keys):
        cause = "Names with '.default' are those of the model in memory. Save it with model.save_pretrained(...)."
    cause = cause or "Another tool renamed them, or they belong to another model; save the adapter again with peft."
    return (
        f"{folder} holds {many(len(keys), 'tensor')} under names that peft does not load here ({_names(keys)}), "
        f"and none for some that its configuration asks for. {cause}"
    )


def _incomplete(tensors: Mapping[str, Tensor], missing: list[str], adapter: str, folder: Path, base: Path) -> str:
    held, lacks = _layers(tensors), _layers(missing)
    asked = (
        f"its configuration asks for {many(len(missing), 'tensor')} that its files lack ({_names(missing, adapter)})"
    )
    if held and lacks and min(lacks) > max(held):  # as a shallower base leaves it
        return (
            f"{folder} is incomplete or an adapter for another base: {asked}. Its own layers end at number "
            f"{max(held)}: name the base that it was trained on, where {base} has more layers, or save it again."
        )
    return f"{folder} is incomplete: {asked}. It was saved or copied in part; save it again, or correct target_modules."


def _layers(keys: Iterable[str]) -> set[int]:
    """Numbers of layers in the names of tensors; -1 for those in no layer."""
    found = (re.search(r"\.(\d+)\.", key) for key in keys)
    return {int(match[1]) if match else -1 for match in found}


def _other_rank(tensors: Mapping[str, Tensor], folder: Path) -> str | None:
    """Which matrix of LoRA has another rank than the configuration says; None where none has."""
    config = read_config(folder)
    for key, tensor in tensors.items():
        stem, mark, _ = key.removeprefix("base_model.model.").partition(".lora_A.")
        if not mark or tensor.dim() != 2:
            continue
        rank = lora_rank(config, stem)
        if tensor.shape[0] != rank:
            return (
                f"{folder}: {stem} has rank {tensor.shape[0]} in its files and {rank!r} by adapter_config.json (r, "
                "rank_pattern). One of the two belongs to another adapter; restore the one saved with the other."
            )
    return None


def _names(keys: list[str], adapter: str | None = None) -> str:
    short = [key.removeprefix("base_model.model.") for key in sorted(keys)]
    if adapter is not None:
        short = [key.replace(f".{adapter}", "") for key in short]
    return ", ".join(short[:_NAMED]) + (", ..." if len(short) > _NAMED else "")


def _refused(folder: Path, base: Path, error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{folder} is incomplete: its files lack {error}. Save it again."
    words = " ".join(str(error).split())[:400].rstrip(".") or type(error).__name__
    return f"{folder} cannot be put on {base}. Is it complete, and made for this base? peft says: {words}."


def _unpaired(tensors: Mapping[str, Tensor], folder: Path) -> str | None:
    """Which matrices of LoRA lack the other one of their pair; None where none does."""
    swapped = str.maketrans("AB", "BA")
    alone = [
        key
        for key in tensors
        if (m := re.search(r"\.lora_(embedding_)?[AB]", key))
        and key[: m.end() - 1] + key[m.end() - 1].translate(swapped) + key[m.end() :] not in tensors
    ]
    if not alone:
        return None
    return (
        f"{folder} is incomplete: {many(len(alone), 'matrix', 'matrices')} of LoRA without the other of the pair "
        f"({_names(alone)}). It was saved or copied in part; save it again."
    )


def _misfit(tensors: Mapping[str, Tensor], folder: Path, base: Path, modules: Mapping[str, nn.Module]) -> str | None:
    """Which LoRA matrix of the folder fits no module of the base, and how; None where all fit."""
    joined = any(name.endswith(".experts") for name in modules)  # experts that were modules of their own before
    for key, tensor in tensors.items():
        if joined and ".experts." in key:
            continue
        stem, mark, rest = key.removeprefix("base_model.model.").partition(".lora_")
        side = rest.removeprefix("embedding_")[:1]
        if not mark and (said := _other_rows(key, tensor, folder, base, modules)) is not None:
            return said
        if not mark or side not in ("A", "B"):
            continue
        module = modules.get(stem) or _renamed(stem, modules)
        if module is None:
            return f"{folder} is an adapter for another base: it changes {stem}, which {base} lacks."
        sizes = _sizes(module)
        if sizes is None or tensor.dim() != 2:
            continue
        if (tensor.shape[1] if side == "A" else tensor.shape[0]) != sizes[side == "B"]:
            return (
                f"{folder} is an adapter for another base: {key} has shape {tuple(tensor.shape)}, "
                f"the weight of {base} it belongs to has {tuple(_weight(module).shape)}."
            )
    return None


def _other_rows(key: str, tensor: Tensor, folder: Path, base: Path, modules: Mapping[str, nn.Module]) -> str | None:
    """That a whole weight of the adapter has another shape than the base's, as after tokens were added."""
    stem = re.sub(r"^base_model\.model\.|\.(?:modules_to_save|original_module)\b|\.weight$", "", key)
    weight = _weight(modules[stem]) if stem in modules else None
    if weight is None or tensor.dim() != weight.dim() or tensor.shape == weight.shape:
        return None
    return (
        f"{folder} is an adapter for another base: {key} has shape {tuple(tensor.shape)}, the weight of {base} that "
        f"it replaces has {tuple(weight.shape)}. Where tokens were added before training, merge the adapter where it "
        "was trained and compare the whole model, saved with its tokenizer."
    )


def _renamed(stem: str, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    """The module that bore the name `stem` in another version of transformers: same block and place, other prefix."""
    _, mark, place = stem.rpartition(".layers.")
    found = [m for name, m in modules.items() if mark and name.endswith(mark + place)]
    return found[0] if found else None


def _weight(module: nn.Module) -> Any:
    return getattr(module, "weight", None)


def _sizes(module: nn.Module) -> tuple[int, int] | None:
    """Features in and out, as LoRA's A and B have them; None for a module that is no matrix."""
    weight = _weight(module)
    if weight is None or weight.dim() != 2:
        return None
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return int(weight.shape[0]), int(weight.shape[1])  # an embedding, or GPT-2's transposed matrix
