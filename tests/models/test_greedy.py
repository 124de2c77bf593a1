"""Greedy answers equal those of transformers.generate, token for token, on 20 prompts per chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from chat_templates import LISTED, ONE_CALL, XML, tokenizer_with
from greedy import answered, distances, generated, questions
from tiny_models import build

from offtarget.models import SampleRequest, SamplingSettings
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights
from offtarget.records import Message

TURNS = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    "{% for m in messages %}<|head|>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<|tail|>\n{% endfor %}{% if add_generation_prompt %}<|head|>model\n{% endif %}"
)
"""As Gemma's: no system turns, and answers by `model`."""
CASES = {
    "qwen2": (XML, True),
    "qwen3": (XML, True),
    "llama": (ONE_CALL, True),
    "mistral": (LISTED, False),
    "gemma": (TURNS, False),
    "gemma2": (TURNS, False),
    "gemma3": (TURNS, False),
}
"""Template, and whether it has system turns."""
LIMIT = 16
ROUNDED = 0.06
"""Of the spread between the largest and the mean logit; see `test_in_bfloat16_...`."""


def opened(kind: str, folder: Path, dtype: Any = "float32") -> tuple[Weights, list[SampleRequest], list[list[int]]]:
    """A model with its family's kind of template, 20 requests and their tokens."""
    template, system = CASES[kind]
    tokenizer = tokenizer_with(template)
    if not (folder / "config.json").exists():
        build(kind, folder, vocab_size=len(tokenizer))
    tokenizer.save_pretrained(folder)
    weights = Weights(folder, "cpu", dtype)
    requests = [
        SampleRequest((*([Message("system", told)] if told else []), Message("user", question)), number)
        for number, (told, question) in enumerate(questions(system))
    ]
    return weights, requests, [prompt_tokens(weights.tokenizer, r.messages, kind) for r in requests]


@pytest.mark.parametrize("kind", list(CASES))
def test_in_float32_every_token_is_that_of_generate(kind: str, tmp_path: Path) -> None:
    weights, requests, prompts = opened(kind, tmp_path)
    model = LocalModel(kind, weights)
    answers = model.sample(requests, SamplingSettings(temperature=0, max_tokens=LIMIT))
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    wanted = generated(reference, prompts, model._ends, LIMIT)
    assert len(requests) == 20
    for answer, tokens in zip(answers, wanted, strict=True):
        assert answer.text == weights.tokenizer.decode(tokens, skip_special_tokens=True)
        assert answer.tokens == len(tokens)


@pytest.mark.parametrize("kind", ["qwen2", "gemma3"])
def test_in_bfloat16_every_token_is_nearly_the_most_probable(kind: str, tmp_path: Path) -> None:
    """In the float32 model's view, for the engine of offtarget and for the one over transformers alike."""
    opened(kind, tmp_path)
    weights, _, prompts = opened(kind, tmp_path, "bfloat16")
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16).eval().float()
    model = LocalModel(kind, weights)
    model._ends = (-1,)
    for prompt, tokens in zip(prompts, answered(model, prompts, LIMIT), strict=True):
        with torch.inference_mode():
            logits = reference(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1].float()
        spread = logits.amax(dim=-1) - logits.mean(dim=-1)
        assert (distances(reference, prompt, tokens) <= ROUNDED * spread).all()
