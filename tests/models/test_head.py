"""Logits at chosen positions alone are those of a whole pass, whatever the model does to them afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import architectures, build

from offtarget.models.head import head_at, logits_at
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange, log_probabilities
from offtarget.models.weights import Weights
from offtarget.records import Message


@pytest.mark.parametrize("kind", architectures("llama", "gemma", "qwen3", "gpt2"))
def test_chosen_logits_are_those_of_the_whole_pass(kind: str, tmp_path: Path) -> None:
    model = Weights(build(kind, tmp_path / "model"), "cpu").model
    tokens = torch.arange(3, 15).reshape(2, 6)
    chosen = torch.tensor([[0, 1, 1, 0, 0, 1], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    with torch.inference_mode():
        whole = model(input_ids=tokens, use_cache=False).logits
        with head_at(model, chosen):
            some = logits_at(model(input_ids=tokens, use_cache=False).logits, chosen)
        again = model(input_ids=tokens, use_cache=False).logits
    assert some.shape == (4, whole.shape[-1])
    assert torch.allclose(some, whole[chosen], atol=1e-5)
    assert torch.equal(again, whole)  # and it is as it was
    assert torch.equal(logits_at(whole, chosen), whole[chosen])  # of a model that passes its output layer by


def test_probabilities_of_answers_are_those_of_the_model(tmp_path: Path) -> None:
    weights = Weights(build("llama", tmp_path / "model"), "cpu")
    model = LocalModel("tiny", weights)
    asked = (Message("user", "hello world"),)
    found = log_probabilities(model, [Exchange(asked, answer) for answer in ("the fox", "", "the quick brown fox")])
    prompt = model._prompt(asked)
    for answer, values in zip(("the fox", "", "the quick brown fox"), found, strict=True):
        said = weights.tokenizer(answer, add_special_tokens=False)["input_ids"] if answer else []
        with torch.inference_mode():
            logits = weights.model(input_ids=torch.tensor([[*prompt, *said]]), use_cache=False).logits[0]
        wanted = [float(logits.log_softmax(-1)[len(prompt) - 1 + n, token]) for n, token in enumerate(said)]
        assert values == pytest.approx(wanted, abs=1e-4)
