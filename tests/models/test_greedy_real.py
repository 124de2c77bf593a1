"""Greedy answers of SmolLM2 equal those of transformers.generate, and in bfloat16 nearly so."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import real_model
import torch
import transformers
from greedy import distances, generated, questions

from offtarget.models import SampleRequest, SamplingSettings
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
REQUESTS = [
    SampleRequest((*([Message("system", told)] if told else []), Message("user", question)), number)
    for number, (told, question) in enumerate(questions(True))
]
SETTINGS = SamplingSettings(temperature=0, max_tokens=LIMIT)


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    """The model as transformers opens it."""
    torch.set_num_threads(1)
    yield transformers.AutoModelForCausalLM.from_pretrained(real_model.FOLDER, dtype=torch.float32).eval()
    gc.collect()


def answered(dtype: Any) -> tuple[LocalModel, list[list[int]], list[list[int]]]:
    """The model, its prompts, and the tokens of its answers as their texts give them."""
    weights = Weights(real_model.FOLDER, "cpu", dtype)
    model = LocalModel("smollm2", weights)
    with weights.fastest(None) as engine:
        assert isinstance(engine, FusedEngine)
    prompts = [prompt_tokens(weights.tokenizer, r.messages, "smollm2") for r in REQUESTS]
    answers = model.sample(REQUESTS, SETTINGS)
    tokens = [weights.tokenizer(a.text, add_special_tokens=False)["input_ids"] for a in answers]
    assert [len(t) for t in tokens] == [a.tokens for a in answers]
    return model, prompts, tokens


def test_in_float32_every_token_is_that_of_generate(reference: Any) -> None:
    model, prompts, tokens = answered("float32")
    assert tokens == generated(reference, prompts, model._ends, LIMIT)
    assert max(map(len, tokens)) == LIMIT
    needs = decoding_needs(model.weights, [len(p) for p in prompts], len(prompts), 600)
    assert needs.of(20) < 1 << 30


def test_in_bfloat16_every_token_is_nearly_the_most_probable(reference: Any) -> None:
    _, prompts, tokens = answered("bfloat16")
    worst = max(float(distances(reference, p, t).max()) for p, t in zip(prompts, tokens, strict=True))
    assert worst <= ROUNDED
