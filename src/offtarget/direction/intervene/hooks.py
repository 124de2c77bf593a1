"""Interventions on a user's own transformers model, in a `with` block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from offtarget.direction.intervene.edit import Compose
from offtarget.models.local import LocalModel
from offtarget.models.residual import Part, ResidualEdit, decoder_blocks, edited

M = TypeVar("M")


@contextmanager
def intervene(
    model: M, edit: ResidualEdit, *, parts: Tensor | Part | None = None, blocks: str | None = None
) -> Iterator[M]:
    """Hands out the model with its residual stream changed, for the length of a `with` block.

    A transformers or PEFT model is itself hooked, for all who call it, and afterwards, also after an exception, is
    bit for bit as before. A `LocalModel` stays as it is and a changed twin is handed out, so that its fingerprint
    tells the two apart. Blocks nest: an inner edit sees what an outer one has changed.

    `parts` says what the positions of a transformers model's passes are, as one Part or as a tensor (rows, tokens).
    None reads it off each pass, as `generate` makes them: with an empty cache the pass is the prompt, whose last
    token (that the attention mask lets through) is LAST_PROMPT; with a filled one its tokens are the ANSWER. A
    teacher-forced pass over prompt and answer must therefore be given its parts. `blocks` names the attribute that
    lists the decoder blocks of an unknown architecture. InputError for layers that do not exist.
    """
    if isinstance(model, LocalModel):
        both = edit if model.edit is None else Compose(model.edit, edit)
        yield cast(M, model.with_edit(both))
        return
    known = _PartsFromPasses(edit, parts)
    handles = []
    with edited(model, known, blocks):
        try:
            if parts is None:
                body = _owner(model, decoder_blocks(model, blocks))
                handles.append(body.register_forward_pre_hook(known.begin, with_kwargs=True))
            yield model
        finally:
            for handle in handles:
                handle.remove()


class _PartsFromPasses(threading.local):
    """An edit that is told the parts by what the current thread's forward pass was called with."""

    def __init__(self, edit: ResidualEdit, parts: Tensor | Part | None) -> None:
        self._edit = edit
        self._parts: Tensor | Part = Part.PROMPT if parts is None else parts
        self.layers, self.fingerprint = edit.layers, edit.fingerprint

    def begin(self, module: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        tokens = named.get("input_ids", inputs[0] if inputs else None)
        if tokens is None:
            tokens = named["inputs_embeds"][..., 0]
        cache = named.get("past_key_values")
        filled = cache is not None and int(cache.get_seq_length()) > 0
        self._parts = Part.ANSWER if filled else prompt_parts(tokens, named.get("attention_mask"))

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        return self._edit.apply(layer, hidden, self._parts)


def prompt_parts(tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """`Part` values (rows, tokens) of a pass over prompts; `mask` is 1 where there is a token, on either side."""
    parts = torch.full(tokens.shape[:2], int(Part.PROMPT), dtype=torch.int8, device=tokens.device)
    if mask is None or mask.shape != parts.shape:  # prepared masks have four dimensions and hide nothing at the end
        parts[:, -1] = int(Part.LAST_PROMPT)
        return parts
    there = mask.to(tokens.device) != 0
    last = there.shape[1] - 1 - there.flip(1).int().argmax(dim=1)
    parts[torch.arange(len(parts), device=tokens.device), last] = int(Part.LAST_PROMPT)
    parts[~there] = int(Part.PADDING)
    return parts


def _owner(model: Any, blocks: torch.nn.ModuleList) -> torch.nn.Module:
    for module in model.modules():
        if any(child is blocks for child in module.children()):
            return cast(torch.nn.Module, module)
    raise AssertionError("the blocks were found in this model")
