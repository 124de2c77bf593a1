"""Greedy answers of SmolLM2 equal those of transformers.generate, and in bfloat16 nearly so."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import real_model
import torch
import transformers
from greedy import answered, distances, generated, questions

from offtarget.models.chat_format import prompt_tokens
from offtarget.models.decoding_memory import decoding_needs
from offtarget.models.fused import FusedEngine
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights
from offtarget.records import Message

pytestmark = real_model.needed
LIMIT = 20
ROUNDED = 0.75
"""Logits by which a token chosen in bfloat16 may be below the float32 model's largest; docs/design/sampling.md."""
CHATS = [
    (*([Message("system", told)] if told else []), Message("user", question)) for told, question in questions(True)
]


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    """The model as transformers opens it."""
    torch.set_num_threads(1)
    yield transformers.AutoModelForCausalLM.from_pretrained(real_model.FOLDER, dtype=torch.float32).eval()
    gc.collect()


def opened(dtype: Any) -> tuple[LocalModel, list[list[int]]]:
    """The model (in float32 with its leaner pass), and the 20 prompts as its template writes them."""
    weights = Weights(real_model.FOLDER, "cpu", dtype)
    with weights.fastest(None) as engine:
        assert isinstance(engine, FusedEngine) or dtype != "float32"
    return LocalModel("smollm2", weights), [prompt_tokens(weights.tokenizer, m, "smollm2") for m in CHATS]


def test_in_float32_every_token_is_that_of_generate(reference: Any) -> None:
    model, prompts = opened("float32")
    tokens = answered(model, prompts, LIMIT)
    assert tokens == generated(reference, prompts, model._ends, LIMIT)
    assert max(map(len, tokens)) == LIMIT
    needs = decoding_needs(model.weights, [len(p) for p in prompts], len(prompts), 600)
    assert needs.of(20) < 1 << 30


def test_in_bfloat16_every_token_is_nearly_the_most_probable(reference: Any) -> None:
    model, prompts = opened("bfloat16")
    tokens = answered(model, prompts, LIMIT)
    worst = max(float(distances(reference, p, t).max()) for p, t in zip(prompts, tokens, strict=True))
    assert worst <= ROUNDED
