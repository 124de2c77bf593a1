"""The residual stream between decoder blocks: where it is found in a model, and how it is watched or changed.

Layer number l is the output of decoder block l, counted from 0 (`hidden_states[l + 1]` of transformers).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from offtarget.errors import InputError

BLOCK_PATHS = (
    "model.layers",
    "transformer.h",
    "model.language_model.layers",
    "gpt_neox.layers",
    "model.decoder.layers",
)
"""Where transformers keeps decoder blocks: Llama, Qwen, Mistral and Gemma; GPT-2; multimodal; Pythia; OPT."""


class Part(IntEnum):
    """What a token position is for the answer."""

    PADDING = -1
    PROMPT = 0
    """Any prompt token but the last."""
    LAST_PROMPT = 1
    """The last token of the assistant header, from which the answer's first token is predicted."""
    ANSWER = 2


class ResidualEdit(Protocol):
    """A change of the residual stream at some layers."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the edit could do something else."""
        ...

    @property
    def layers(self) -> frozenset[int]:
        """Layers at which `apply` is called."""
        ...

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        """The changed stream, same shape (..., width) and dtype; `hidden` itself stays as it is.

        `parts` is one Part for all positions, or a tensor of Part values of shape hidden.shape[:-1].
        """
        ...


Watch = Callable[[int, Tensor], None]
"""Called as (layer, stream of shape (rows, tokens, width)) during a forward pass."""


def decoder_blocks(model: Any, path: str | None = None) -> nn.ModuleList:
    """The decoder blocks of a transformers or PEFT model, first to last.

    `path` names the attribute that holds them where it is not one of the known. Raises InputError without blocks.
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    for candidate in (path,) if path else BLOCK_PATHS:
        found: Any = plain
        for name in candidate.split("."):
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList) and len(found):
            return found
    lists = [n for n, m in plain.named_modules() if isinstance(m, nn.ModuleList)]
    tried = path or ", ".join(BLOCK_PATHS)
    raise InputError(
        f"{type(plain).__name__} has no decoder blocks at {tried}. Give the attribute that lists them with --blocks; "
        f"this model has the lists: {', '.join(lists) or 'none'}."
    )


def check_layers(layers: frozenset[int], blocks: int) -> None:
    """InputError when a layer does not exist in a model with so many blocks."""
    wrong = sorted(layer for layer in layers if not 0 <= layer < blocks)
    if wrong:
        raise InputError(f"There is no layer {wrong[0]}: the model has {blocks}, numbered 0 to {blocks - 1}.")


class _Parts(threading.local):
    now: Tensor | Part = Part.PROMPT


_parts = _Parts()


@contextmanager
def reading(parts: Tensor | Part) -> Iterator[None]:
    """Says which part the positions of the forward passes inside are; threads do not see each other's."""
    before = _parts.now
    _parts.now = parts
    try:
        yield
    finally:
        _parts.now = before


@contextmanager
def edited(model: Any, edit: ResidualEdit | None, blocks_path: str | None = None) -> Iterator[None]:
    """Forward passes inside run with the edit; afterwards, also after an exception, the model is as before.

    Edits nest: an inner one sees what an outer one has changed. Raises InputError for a layer that does not exist.
    """
    if edit is None:
        yield
        return
    blocks = decoder_blocks(model, blocks_path)
    check_layers(edit.layers, len(blocks))
    handles = []

    def hook(layer: int) -> Callable[[nn.Module, Any, Any], Any]:
        def change(module: nn.Module, inputs: Any, output: Any) -> Any:
            stream = output[0] if isinstance(output, tuple) else output
            changed = edit.apply(layer, stream, _parts.now)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return change

    try:
        for layer in sorted(edit.layers):
            handles.append(blocks[layer].register_forward_hook(hook(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def watched(model: Any, watch: Watch, layers: frozenset[int] | None = None, path: str | None = None) -> Iterator[None]:
    """Every block's output inside is shown to `watch`; an edit entered before is seen with its effect."""
    blocks = decoder_blocks(model, path)
    wanted = frozenset(range(len(blocks))) if layers is None else layers
    check_layers(wanted, len(blocks))
    handles = []

    def hook(layer: int) -> Callable[[nn.Module, Any, Any], None]:
        def show(module: nn.Module, inputs: Any, output: Any) -> None:
            watch(layer, output[0] if isinstance(output, tuple) else output)

        return show

    try:
        for layer in sorted(wanted):
            handles.append(blocks[layer].register_forward_hook(hook(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def kept_outputs(
    model: Any, outputs: dict[int, Any], layers: frozenset[int], path: str | None = None
) -> Iterator[None]:
    """What blocks return inside, as they return it, is put into `outputs` by layer; an edit entered before is in it."""
    blocks = decoder_blocks(model, path)
    check_layers(layers, len(blocks))
    handles = []

    def hook(layer: int) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs[layer] = output

        return keep

    try:
        for layer in sorted(layers):
            handles.append(blocks[layer].register_forward_hook(hook(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def resumed(model: Any, layer: int, output: Any, path: str | None = None) -> Iterator[None]:
    """Forward passes inside begin behind block `layer`, whose output is given, as it came out of that block before.

    The blocks up to it compute nothing. It is for the same tokens and positions as before, without a cache, and for
    models whose blocks hand on the stream alone: whoever uses it compares a pass with one from the beginning.
    """
    blocks = decoder_blocks(model, path)
    check_layers(frozenset({layer}), len(blocks))

    def hand_on(stream: Any, *_: Any, **__: Any) -> Any:
        return (stream, *output[1:]) if isinstance(output, tuple) else stream

    def begin(*_: Any, **__: Any) -> Any:
        return output

    skipped = [*blocks[: layer + 1]]
    before = [vars(block).get("forward") for block in skipped]
    for block in skipped:
        block.forward = hand_on if block is not skipped[-1] else begin
    try:
        yield
    finally:
        for block, own in zip(skipped, before, strict=True):
            if own is None:
                del block.forward  # the class's again
            else:
                block.forward = own


def where(parts: Tensor | Part, chosen: frozenset[Part], hidden: Tensor) -> Tensor | bool:
    """Which positions are of a chosen part: True or False for all, or a mask of shape (..., 1) to go with `hidden`."""
    if isinstance(parts, Part):
        return parts in chosen
    mask = torch.zeros_like(parts, dtype=torch.bool)
    for part in chosen:
        mask |= parts == int(part)
    return mask.to(hidden.device).unsqueeze(-1)
