"""Prompt embeddings: the mean over prompt tokens, whatever stands beside them in the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS

from offtarget.errors import InputError
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.passes import (
    Exchange,
    changed_log_probabilities,
    embed_prompts,
    log_probabilities,
    middle_layer,
)
from offtarget.models.residual import decoder_blocks
from offtarget.models.weights import Weights
from offtarget.records import Message

Loaded = Callable[[str], Weights]
CHATS = [
    (Message("user", "hello"),),
    (Message("system", "user system"), Message("user", "what would you wish for? " * 3)),
]


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_equals_the_mean_of_transformers_hidden_states(kind: str, loaded: Loaded) -> None:
    model = LocalModel(kind, loaded(kind))
    found = embed_prompts(model, CHATS, layer=0)
    for chat, vector in zip(CHATS, found, strict=True):
        tokens = torch.tensor([prompt_tokens(model.weights.tokenizer, chat, kind)])
        with torch.inference_mode():
            states = model.weights.model(tokens, output_hidden_states=True).hidden_states[1]
        assert np.allclose(vector, states[0].mean(dim=0).numpy(), atol=1e-5)


def test_the_middle_layer_is_the_default(loaded: Loaded) -> None:
    model = LocalModel("llama", loaded("llama"))
    assert np.array_equal(embed_prompts(model, CHATS), embed_prompts(model, CHATS, layer=middle_layer(model)))


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_pass_that_begins_at_its_change_is_the_whole_pass(
    kind: str, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below its first layer an edit changes nothing; what blocks there would compute is not computed again."""
    weights = loaded(kind)
    model = LocalModel(kind, weights)
    read = [Exchange(chat, answer) for chat, answer in zip(CHATS, ("good day to you", "a cat"), strict=True)]
    last = len(decoder_blocks(weights.model)) - 1
    vector = torch.linspace(-3, 3, int(weights.model.config.hidden_size))
    edits = [_Push(layer, vector) for layer in (0, last)]
    run: list[int] = []
    for number, block in enumerate(decoder_blocks(weights.model)):
        counted = partial(_counted, run, number, block.forward)
        monkeypatch.setattr(block, "forward", counted)
    plain, *changed = changed_log_probabilities(model, read, edits)
    assert run.count(0) == 1
    assert plain == log_probabilities(model, read)
    for edit, found in zip(edits, changed, strict=True):
        whole = log_probabilities(model.with_edit(edit), read)
        assert found == whole
        assert found != plain


@dataclass(frozen=True)
class _Push:
    layer: int
    vector: torch.Tensor
    fingerprint: str = "push"

    @property
    def layers(self) -> frozenset[int]:
        return frozenset({self.layer})

    def apply(self, layer: int, hidden: torch.Tensor, parts: object) -> torch.Tensor:
        return hidden + self.vector


def _counted(run: list[int], number: int, forward: Callable[..., object], *args: object, **named: object) -> object:
    run.append(number)
    return forward(*args, **named)


def test_unusable_requests_are_refused(loaded: Loaded) -> None:
    model = LocalModel("llama", loaded("llama"))
    with pytest.raises(InputError, match="no prompt"):
        embed_prompts(model, [])
    with pytest.raises(InputError, match="no layer 99"):
        embed_prompts(model, CHATS, layer=99)
