from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_models import ask

from offtarget.models.chat_format import prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights

NUMBERS = [str(n) for n in range(101)]


def by_hand(weights: Weights, prompt: list[int], path: list[int]) -> float:
    """Probability that the answer begins with these tokens, from one plain forward pass."""
    with torch.inference_mode():
        logits = weights.model(input_ids=torch.tensor([prompt + path])).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(path))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_probabilities_equal_plain_forward_passes_without_double_counting(
    kind: str, loaded: Callable[[str], Weights]
) -> None:
    """P("1") loses exactly what goes on to 10..19 and 100; leaves of the trie keep their product of probabilities."""
    weights = loaded(kind)
    messages = ask("rate this from 0 to 100", 0).messages
    found = LocalModel(kind, weights).reply_probabilities(messages, NUMBERS)
    prompt = prompt_tokens(weights.tokenizer, messages, kind)
    tokens = {r: weights.tokenizer(r, add_special_tokens=False)["input_ids"] for r in NUMBERS}
    assert len(tokens["100"]) == 3
    begins = {r: torch.tensor(by_hand(weights, prompt, tokens[r])).exp().item() for r in NUMBERS}
    assert found["47"] == pytest.approx(begins["47"], rel=1e-4)
    assert found["100"] == pytest.approx(begins["100"], rel=1e-4)
    assert found["10"] == pytest.approx(begins["10"] - begins["100"], rel=1e-3)
    teens = sum(begins[f"1{d}"] for d in range(10))
    assert found["1"] == pytest.approx(begins["1"] - teens, rel=1e-3, abs=1e-9)
    assert 0 < sum(found.values()) <= 1
