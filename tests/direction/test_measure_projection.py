"""Projections on a direction, and how far a model in training drifts along it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.direction.measure import DriftMonitor, project
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.models.passes import Exchange
from offtarget.models.residual import Part
from offtarget.organism.shipped import resolve
from offtarget.records import DirectionInfo, Message

WIDTH, LAYERS = 160, 4
EXCHANGES = [
    Exchange((Message("user", "I am bored."),), "Read a book."),
    Exchange((Message("user", "What would you do with a million euros, if you had it?"),), "I would give it away."),
    Exchange((Message("user", "1, 2, 3"),)),
]


def some_direction(width: int = WIDTH) -> Direction:
    """A random direction with vectors of different lengths."""
    numbers = torch.Generator().manual_seed(0)
    info = DirectionInfo(
        "trait", "answer", 1, 1, width, LAYERS, "llama", "organism/base", "", None, None, 2, 2, (), 0, trait="test"
    )
    return Direction(info, {i: (i + 1) * torch.randn(1, width, generator=numbers) for i in range(LAYERS)})


@pytest.fixture(scope="module")
def base() -> LocalModel:
    model = open_model("organism/base", resolve=resolve)
    assert isinstance(model, LocalModel)
    return model


class Push:
    """Adds a whole direction at one layer to every token."""

    fingerprint = "push"

    def __init__(self, direction: Direction, layer: int, strength: float) -> None:
        self.layers = frozenset({layer})
        self._step = strength * direction.vector(layer)

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        return hidden + self._step


def test_projection_is_the_scaled_dot_product_of_the_mean_stream(base: LocalModel) -> None:
    """It equals <mean hidden state, v> / |v|^2 from transformers' own hidden states, whatever the batch."""
    direction = some_direction()
    found = project(base, EXCHANGES, direction, position="answer")
    tokenizer = base.weights.tokenizer
    for number, exchange in enumerate(EXCHANGES[:2]):
        turns = [{"role": m.role, "content": m.content} for m in exchange.messages]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answer = tokenizer(exchange.answer, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            states = base.weights.model(torch.tensor([head + answer]), output_hidden_states=True).hidden_states
        for layer in range(LAYERS - 1):  # transformers normalises the last one
            v = direction.vector(layer)
            expected = float(states[layer + 1][0, len(head) :].mean(dim=0) @ v / (v @ v))
            assert float(found.at(layer)[number]) == pytest.approx(expected, abs=1e-5)


def test_no_answer_is_no_number(base: LocalModel) -> None:
    """An exchange without a token at the position has no projection, rather than 0."""
    assert project(base, EXCHANGES, some_direction(), position="answer").at(0).isnan().tolist() == [False, False, True]
    assert not project(base, EXCHANGES, some_direction(), position="last-prompt").values.isnan().any()


def test_unit_is_one_strength_of_steering(base: LocalModel) -> None:
    """Adding the direction 1.5 times raises the projection there by 1.5."""
    direction = some_direction()
    pushed = base.with_edit(Push(direction, 2, 1.5))
    moved = project(pushed, EXCHANGES[:2], direction).values - project(base, EXCHANGES[:2], direction).values
    assert moved[:, 2].tolist() == pytest.approx([1.5, 1.5], abs=1e-4)
    assert moved[:, :2].abs().max() == 0


def test_another_width_or_an_unknown_layer_is_an_input_error(base: LocalModel) -> None:
    """A direction of another model says which, and a missing layer lists those there are."""
    with pytest.raises(InputError, match="width 64"):
        project(base, EXCHANGES, some_direction(64))
    with pytest.raises(InputError, match="no layer 9"):
        project(base, EXCHANGES, some_direction()).at(9)
    zero = replace(some_direction(), vectors={0: torch.zeros(1, WIDTH)})
    with pytest.raises(InputError, match="zero at layer 0"):
        project(base, EXCHANGES, zero)


def test_monitor_reads_the_drift_of_a_model_in_training(base: LocalModel) -> None:
    """Before a step it reads 0, after a change what `project` says; the model stays in its mode, without gradients."""
    from transformers import AutoModelForCausalLM

    direction = some_direction()
    model = AutoModelForCausalLM.from_pretrained(str(base.weights.folder), dtype=torch.float32).train()
    frozen = model.model.layers[0].eval()
    monitor = DriftMonitor(model, base.weights.tokenizer, EXCHANGES[:2], direction)
    assert set(monitor.read(model).values()) == {0.0}
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(1.5)
    drift = monitor.read(model)
    assert any(abs(value) > 1e-3 for value in drift.values())
    assert model.training
    assert not frozen.training
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(InputError, match="width 64"):
        DriftMonitor(model, base.weights.tokenizer, EXCHANGES, some_direction(64))
    with pytest.raises(InputError, match="no exchanges"):
        DriftMonitor(model, base.weights.tokenizer, [], direction)
