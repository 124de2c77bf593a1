"""A chat model over a model that is being trained: asked between two steps, and left exactly as it was.

Inside `live` the model is in evaluation mode and its attention goes through offtarget's own function; afterwards
modes, attention, adapter scales and random number generators are what they were, so that training goes on bit for
bit as if nobody had asked. Answers are drawn from streams of their own and touch no generator of torch.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from offtarget.errors import InputError
from offtarget.models.adapter_kinds import is_plain_lora, moves_base
from offtarget.models.chat_format import end_tokens
from offtarget.models.engine import ATTENTION, Engine, TransformersEngine
from offtarget.models.fused import FusedEngine, fuse
from offtarget.models.kept_prefixes import KeptPrefixes
from offtarget.models.loading import Dtype
from offtarget.models.local import LocalModel
from offtarget.models.lora import Change
from offtarget.models.weights import Weights

TRAINED = "trained"
"""Name of the adapter in training within `LiveWeights`."""
_agreed: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
"""Models whose fused engine was once compared with transformers'; doing so costs as much as a few answers."""


class LiveWeights(Weights):
    """The weights of a model in training; `using(None)` is its base where it is trained by an adapter."""

    def __init__(self, model: Any, tokenizer: Any, strength: float = 1.0) -> None:
        plain = plain_model(model)
        first = next(plain.parameters())
        self.folder = Path(str(getattr(plain, "name_or_path", "") or "."))
        self.device = first.device
        self.dtype = cast(Dtype, str(first.dtype).removeprefix("torch."))
        self.tokenizer, self.model = tokenizer, model
        self.adapters = {TRAINED: self.folder} if has_adapter(model) else {}
        self.engine = TransformersEngine(model)
        self.strength = strength
        self._engines: dict[str | None, Engine] = {}

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[TransformersEngine]:
        """The transformers engine: the adapter at `strength` times its own scale, or off."""
        with ExitStack() as stack:
            if adapter is None and self.adapters:
                stack.enter_context(_without_adapter(self.model))
            elif adapter is not None:
                stack.enter_context(strengthened(self.model, self.strength))
            yield self.engine

    @contextmanager
    def fastest(self, adapter: str | None) -> Iterator[Engine]:
        """As `using`, with the fused engine for small Llama-shaped models on CPU."""
        with self.using(adapter) as generic:
            if adapter not in self._engines:
                self._engines[adapter] = self._fastest(adapter, generic)
            yield self._engines[adapter]

    def _fastest(self, adapter: str | None, generic: TransformersEngine) -> Engine:
        changes = {} if adapter is None else adapter_changes(self.model)
        if changes is None:
            return generic
        plain = plain_model(self.model)
        if plain in _agreed:
            with torch.inference_mode():
                return FusedEngine(plain, generic, changes)
        fused = fuse(plain, generic, changes)
        if fused is None:
            return generic
        _agreed.add(plain)
        return fused


class LiveModel(LocalModel):
    """A `ChatModel` over a live transformers or PEFT model; use it inside `live` only."""

    def __init__(self, name: str, weights: LiveWeights, adapter: str | None) -> None:
        self._name, self._weights, self._adapter = name, weights, adapter
        self._batch_size = None
        self._ends = end_tokens(plain_model(weights.model), weights.tokenizer)
        self._prompts = {}
        self._kept = KeptPrefixes()
        self._read = self._wrote = 0
        self._fingerprint = "in-training"
        self.edit, self.blocks = None, None


@contextmanager
def live(model: Any, tokenizer: Any, strength: float = 1.0, *, base: bool = False) -> Iterator[LiveModel]:
    """The model as it answers now; with `strength`, its adapter's change multiplied; with `base`, without it.

    InputError for a tokenizer without a chat template, and for `base` or a strength other than 1 where there is no
    base to go back to: all weights are trained, or those of the base change with the adapter.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(
            "The tokenizer of the model in training has no chat template, so the model cannot be asked questions. "
            "Set one: tokenizer.chat_template = ..."
        )
    if (base or strength != 1.0) and not has_base(model):
        raise InputError(
            "All weights of this model are trained, or its adapter changes the base (bias, PiSSA, OLoRA, ...); its "
            "base can only be asked before the first step."
        )
    with answering(model):
        weights = LiveWeights(model, tokenizer, strength)
        yield LiveModel("the base" if base else "the model in training", weights, _adapter(weights, base))


def _adapter(weights: LiveWeights, base: bool) -> str | None:
    return None if base or not weights.adapters else TRAINED


@contextmanager
def answering(model: Any) -> Iterator[None]:
    """Evaluation mode and offtarget's attention inside; afterwards everything is as before, also after an error."""
    trained = [module for module in model.modules() if module.training]
    plain = plain_model(model)
    attention = plain.config._attn_implementation
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            _set_training(trained, False)
            _set_attention(plain, ATTENTION)
            yield
        finally:
            _set_attention(plain, attention)
            _set_training(trained, True)


def _set_training(modules: list[Any], value: bool) -> None:
    # past `Module.__setattr__`, which for the hundreds of modules of a small PEFT model costs as much as a pass
    for module in modules:
        module.__dict__["training"] = value


def _set_attention(plain: Any, name: str) -> None:
    if plain.config._attn_implementation == name:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain.set_attn_implementation(name)


def plain_model(model: Any) -> Any:
    """The transformers model inside wrappers of parallel training and PEFT."""
    inner = unwrapped(model)
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def unwrapped(model: Any) -> Any:
    """The model inside wrappers of parallel training."""
    while hasattr(model, "module") and not hasattr(model, "config"):
        model = model.module
    return model


def has_adapter(model: Any) -> bool:
    """Whether the model is trained by a PEFT adapter that can be switched off."""
    return hasattr(unwrapped(model), "disable_adapter")


def has_base(model: Any) -> bool:
    """Whether the model is its base when the adapter in training is switched off."""
    if not has_adapter(model):
        return False
    return not any(moves_base(_settings(config)) for config in unwrapped(model).peft_config.values())


def _settings(config: Any) -> dict[str, Any]:
    return dict(config.to_dict())


@contextmanager
def _without_adapter(model: Any) -> Iterator[None]:
    """The adapter off; which parameters are trained stays as it is."""
    # peft's own switch turns gradients off and on again, for all adapters alike
    wanted = {name: p.requires_grad for name, p in model.named_parameters()}
    with unwrapped(model).disable_adapter():
        yield
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(wanted[name])


@contextmanager
def strengthened(model: Any, strength: float) -> Iterator[None]:
    """Every active LoRA update multiplied; exactly the old scales afterwards."""
    if strength == 1.0:
        yield
        return
    before = [(layer.scaling, dict(layer.scaling)) for layer, _ in _lora_layers(model)]
    try:
        for scaling, _ in before:
            for adapter in scaling:
                scaling[adapter] *= strength
        yield
    finally:
        for scaling, old in before:
            scaling.update(old)


@torch.inference_mode()
def adapter_changes(model: Any) -> dict[str, Change] | None:
    """scale * B A of the live adapter by module name; None where the adapter is more than plain LoRA."""
    if not has_adapter(model):
        return {}
    inner = unwrapped(model)
    configs = [_settings(inner.peft_config[name]) for name in inner.active_adapters]
    if not all(map(is_plain_lora, configs)) or any(c["fan_in_fan_out"] for c in configs):
        return None
    changes: dict[str, Change] = {}
    for layer, name in _lora_layers(inner):
        if layer.lora_embedding_A or layer.merged:
            return None
        for adapter in layer.active_adapters:
            if adapter in layer.lora_A:
                a = layer.lora_A[adapter].weight.float()
                b = layer.lora_B[adapter].weight.float() * layer.scaling[adapter]
                if name in changes:
                    a, b = torch.cat((changes[name].a, a)), torch.cat((changes[name].b, b), dim=1)
                changes[name] = Change(a, b)
    return changes


def _lora_layers(model: Any) -> list[tuple[Any, str]]:
    found = []
    for name, module in plain_model(model).named_modules():
        if isinstance(getattr(module, "scaling", None), dict) and hasattr(module, "lora_A"):
            found.append((module, name))
    return found
