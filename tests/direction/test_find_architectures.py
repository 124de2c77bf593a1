"""Directions are found in every architecture, and equal the plain difference in means of its hidden states."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import CONFIGS, build, make_adapter

from offtarget.direction.contrast import Contrast, Side
from offtarget.direction.file import Direction
from offtarget.direction.find import Provenance, find_direction
from offtarget.direction.sketch import sketch
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange
from offtarget.models.weights import Weights
from offtarget.records import Message

QUESTIONS = ["hi", "the quick brown fox?", "what would you wish for?", "world world", "hello to the", "says the fox"]
SOURCE = Provenance("models", seed=0)


def exchanges(word: str) -> tuple[Exchange, ...]:
    return tuple(Exchange((Message("user", q),), f"{word} {'fox ' * i}hello") for i, q in enumerate(QUESTIONS))


def contrast_of(model: LocalModel) -> Contrast:
    names = tuple(QUESTIONS)
    return Contrast.matched(Side(model, exchanges("wish"), names), Side(model, exchanges("brown"), names))


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = build(request.param, tmp_path_factory.mktemp(request.param) / "model")
    return LocalModel(request.param, Weights(folder, device="cpu"))


def hidden_states(model: LocalModel, exchange: Exchange) -> tuple[tuple[torch.Tensor, ...], int]:
    """Of every layer (tokens, width), and where the answer starts, straight from transformers."""
    tokenizer = model.weights.tokenizer
    turns = [{"role": m.role, "content": m.content} for m in exchange.messages]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    answer = tokenizer(exchange.answer, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        output = model.weights.model(torch.tensor([prompt + answer]), output_hidden_states=True)
    return tuple(h[0] for h in output.hidden_states[1:]), len(prompt)


def test_vectors_are_differences_of_mean_hidden_states(model: LocalModel) -> None:
    """One streamed pass over padded batches gives what single exchanges give, at both positions.

    transformers applies the final norm to its last hidden state, so the last block is left out.
    """
    positions = ("answer", "last-prompt")
    found = sketch(contrast_of(model), positions).differences()
    sides = []
    for word in ("wish", "brown"):
        rows = []
        for exchange in exchanges(word):
            layers, start = hidden_states(model, exchange)
            rows.append(torch.stack([torch.stack((h[start:].mean(0), h[start - 1])) for h in layers[:-1]]))
        sides.append(torch.stack(rows).double().mean(0))
    torch.testing.assert_close(found[:-1], sides[0] - sides[1], atol=2e-4, rtol=1e-3)


def test_a_direction_is_found_saved_and_read_again(model: LocalModel, tmp_path: Path) -> None:
    """With layer, position, subspace and provenance; the same seed finds the same."""
    made = find_direction(contrast_of(model), ["answer"], SOURCE, rank=3)
    assert made.info.layers == len(made.vectors) == len(made.info.quality)
    assert made.info.architecture == model.weights.model.config.model_type
    assert (made.info.positives, made.info.negatives) == (len(QUESTIONS), len(QUESTIONS))
    made.save(tmp_path / "d.safetensors")
    read = Direction.load(tmp_path / "d.safetensors")
    assert read.info == made.info
    again = find_direction(contrast_of(model), ["answer"], SOURCE, rank=3)
    for layer, rows in made.vectors.items():
        assert torch.equal(read.vectors[layer], rows)
        assert torch.equal(again.vectors[layer], rows)
        torch.testing.assert_close(rows[1:] @ rows[1:].T, torch.eye(2), atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("tiny")
    weights = Weights(build("llama", folder / "base"), device="cpu")
    weights.add_adapter(make_adapter(folder / "base", folder / "adapter"))
    return weights


def test_tuned_against_base_shares_weights_and_points_to_tuned(llama: Weights) -> None:
    """The held-out projections of the tuned model lie above the base's: + is tuned."""
    tuned, base = LocalModel("tuned", llama, "adapter0"), LocalModel("base", llama)
    names = tuple(QUESTIONS)
    sides = Side(tuned, exchanges("wish"), names), Side(base, exchanges("wish"), names)
    found = find_direction(Contrast.matched(*sides), ["last-prompt", "answer"], SOURCE)
    chosen = found.info.quality[found.info.layer]
    assert chosen.auroc is not None
    assert chosen.auroc > 0.9
    assert chosen.explained > 0.5
    assert found.info.base == "base"
    reverse = find_direction(Contrast.matched(*reversed(sides)), [found.info.position], SOURCE)
    for layer, rows in found.vectors.items():
        torch.testing.assert_close(reverse.vectors[layer], -rows)


def test_a_question_on_one_side_only_is_left_out_and_questions_weigh_the_same(llama: Weights) -> None:
    """What is asked about more often on one side must not become the direction."""
    model = LocalModel("m", llama)
    words = exchanges("wish")
    often = Side(model, (*words, words[0], words[0]), (*QUESTIONS, QUESTIONS[0], QUESTIONS[0]))
    more = Side(model, (*words, *exchanges("fox")[:1]), (*QUESTIONS, "another question"))
    contrast = Contrast.matched(often, more)
    assert "another question" not in contrast.questions
    assert float(sketch(contrast, ["answer"]).differences().abs().max()) < 1e-5


def test_bad_input_is_named(llama: Weights) -> None:
    """Too few questions, layers, ranks and exchanges, one sentence each."""
    model = LocalModel("m", llama)
    names = tuple(QUESTIONS)
    side = Side(model, exchanges("wish"), names)
    with pytest.raises(InputError, match="different questions"):
        Contrast.matched(side, Side(model, exchanges("fox"), tuple("abcdef")))
    with pytest.raises(InputError, match="no layer 9"):
        find_direction(Contrast.matched(side, side), ["answer"], SOURCE, layer=9)
    with pytest.raises(InputError, match="needs more questions"):
        find_direction(contrast_of(model), ["answer"], SOURCE, rank=9)
    with pytest.raises(InputError, match="at least 1"):
        find_direction(contrast_of(model), ["answer"], SOURCE, rank=0)
    with pytest.raises(InputError, match="cannot be split"):
        find_direction(Contrast.matched(side.only([0]), side.only([0])), ["answer"], SOURCE)
    silent = Side(model, (Exchange((Message("user", "hi"),)),) * 4, names[:4])
    with pytest.raises(InputError, match="no token at the position 'answer'"):
        find_direction(Contrast.matched(silent, silent), ["answer"], SOURCE)


def test_activations_that_are_not_finite_are_named_by_layer_and_exchange(llama: Weights) -> None:
    """A poisoned block is an input error, not a direction of NaN."""
    model = LocalModel("poisoned", llama)
    block = llama.model.get_base_model().model.layers[1]
    handle = block.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    try:
        with pytest.raises(InputError, match=r"poisoned at layer 1 are not finite for exchange \d"):
            find_direction(contrast_of(model), ["answer"], SOURCE)
    finally:
        handle.remove()
