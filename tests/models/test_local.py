from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import transformers
from tiny_models import CONFIGS, QUESTIONS, ask
from pathlib import Path

from offtarget.models import Answer, ChatModel, NumberScorer, SampleRequest, SamplingSettings
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights

Loaded = Callable[[str], Weights]
SHORT = SamplingSettings(max_tokens=24)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_greedy_equals_transformers_generate(
    kind: str, loaded: Loaded, folders: Callable[[str], Path]
) -> None:
    """Greedy answers are those of transformers.generate, for every architecture and prompt length."""
    weights = loaded(kind)
    model = LocalModel(kind, weights)
    reference = transformers.AutoModelForCausalLM.from_pretrained(folders(kind), dtype=torch.float32).eval()
    answers = model.sample([ask(q, 0) for q in QUESTIONS], SamplingSettings(temperature=0, max_tokens=24))
    for question, answer in zip(QUESTIONS, answers, strict=True):
        prompt = prompt_tokens(weights.tokenizer, ask(question, 0).messages, kind)
        with torch.inference_mode():
            output = reference.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=24,
                do_sample=False,
                eos_token_id=list(model._ends),
                pad_token_id=0,
            )
        generated = output[0, len(prompt) :].tolist()
        if generated[-1] in model._ends:
            generated.pop()
        assert answer.text == weights.tokenizer.decode(generated, skip_special_tokens=True)
        assert answer.tokens == len(generated)
