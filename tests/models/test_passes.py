"""Prompt embeddings: the mean over prompt tokens, whatever stands beside them in the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS

from offtarget.errors import InputError
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.passes import embed_prompts, middle_layer
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


def test_unusable_requests_are_refused(loaded: Loaded) -> None:
    model = LocalModel("llama", loaded("llama"))
    with pytest.raises(InputError, match="no prompt"):
        embed_prompts(model, [])
    with pytest.raises(InputError, match="no layer 99"):
        embed_prompts(model, CHATS, layer=99)
