"""Interventions in whole models: exact restoration, nesting, generation, both engines, every architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from intervene_models import EVERY_PART, ask, build, some_direction

from offtarget.direction.intervene import POSITIONS, Ablate, Compose, Steer, intervene
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange, read_exchanges
from offtarget.models.residual import Part
from offtarget.models.weights import Weights
from offtarget.records import Message, SamplingSettings

KINDS = ["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "mistral", "gpt2"]
TOKENS = torch.tensor([[5, 9, 3, 7, 11], [8, 2, 6, 4, 12]])


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    made: dict[str, Any] = {}

    def get(kind: str) -> Any:
        if kind not in made:
            folder = build(kind, tmp_path_factory.mktemp(kind) / "model")
            made[kind] = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        return made[kind]

    return get


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel("tiny", Weights(build("llama", tmp_path_factory.mktemp("local") / "model"), device="cpu"))


@torch.inference_mode()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=TOKENS).logits.clone()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_bit_identical_after_removal_and_at_strength_0(kind: str, model_of: Callable[[str], Any]) -> None:
    model = model_of(kind)
    d = some_direction(model)
    before = logits(model)
    with intervene(model, Steer(d, 3.0)) as same:
        assert same is model
        assert not torch.equal(logits(model), before)
    assert torch.equal(logits(model), before)
    with intervene(model, Compose(Steer(d, 0.0), Ablate(d, share=0.0))):
        assert torch.equal(logits(model), before)
    with pytest.raises(RuntimeError, match="inside"), intervene(model, Ablate(d)):
        raise RuntimeError("inside")
    assert torch.equal(logits(model), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_two_nested_interventions_are_the_composed_one(kind: str, model_of: Callable[[str], Any]) -> None:
    model = model_of(kind)
    d = some_direction(model)
    outer, inner = Steer(d, 3.0, [0, 1]), Ablate(some_direction(model, seed=5), [1])
    with intervene(model, outer), intervene(model, inner):
        nested = logits(model)
    with intervene(model, Compose(outer, inner)):
        assert torch.equal(logits(model), nested)
    with intervene(model, outer):
        with intervene(model, inner):
            pass
        alone = logits(model)
    with intervene(model, outer):
        assert torch.equal(logits(model), alone)


def test_a_pass_that_fails_inside_leaves_the_model_as_it_was(model_of: Callable[[str], Any]) -> None:
    model = model_of("llama")
    before = logits(model)
    narrow = some_direction(model, width=16)
    with pytest.raises(InputError, match="width 16"), intervene(model, Steer(narrow, 1.0)):
        logits(model)
    assert torch.equal(logits(model), before)
    with (
        pytest.raises(InputError, match="no layer 2"),
        intervene(model, Steer(some_direction(model, layers=3), 1.0, [2])),
    ):
        pass
    assert torch.equal(logits(model), before)


def test_a_teacher_forced_pass_changes_only_what_a_causal_model_can_see_of_it(model_of: Callable[[str], Any]) -> None:
    model = model_of("qwen2")
    d = some_direction(model)
    parts = torch.tensor([[0, 0, 1, 2, 2]] * 2)
    before = logits(model)
    for part, first in ((Part.LAST_PROMPT, 2), (Part.ANSWER, 3)):
        with intervene(model, Steer(d, 5.0, positions=frozenset({part})), parts=parts):
            changed = logits(model)
        assert torch.equal(changed[:, :first], before[:, :first])
        assert not torch.equal(changed[:, first], before[:, first])


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_generate_knows_the_last_prompt_token_also_behind_padding(kind: str, model_of: Callable[[str], Any]) -> None:
    model = model_of(kind)
    d = some_direction(model)
    seen: list[torch.Tensor | Part] = []

    class Spy(Steer):
        def apply(self, layer: int, hidden: torch.Tensor, parts: torch.Tensor | Part) -> torch.Tensor:
            seen.append(parts)
            return super().apply(layer, hidden, parts)

    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    with intervene(model, Spy(d, 2.0, [1], POSITIONS["last-prompt"])), torch.inference_mode():
        model.generate(input_ids=TOKENS, attention_mask=mask, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert isinstance(seen[0], torch.Tensor)
    assert seen[0].tolist() == [[-1, -1, 0, 0, 1], [0, 0, 0, 0, 1]]
    assert seen[1:] == [Part.ANSWER] * 3


@pytest.mark.parametrize("position", POSITIONS)
def test_fused_and_generic_engine_and_generate_give_the_same_changed_answers(position: str, local: LocalModel) -> None:
    d = some_direction(local.weights.model)
    edit = Compose(
        Steer(d, 4.0, [0], POSITIONS[position]), Ablate(some_direction(local.weights.model, seed=3), [1], EVERY_PART)
    )
    greedy = SamplingSettings(temperature=0.0, max_tokens=12)
    requests = [ask("hi", 0), ask("what would you wish for?", 1)]
    answers = {}
    for fused in (True, False):
        weights = Weights(local.weights.folder, device="cpu")
        weights.fusing = fused
        model = LocalModel("tiny", weights).with_edit(edit)
        answers[fused] = [a.text for a in model.sample(requests, greedy)]
    assert answers[True] == answers[False]
    plain = [a.text for a in local.sample(requests, greedy)]
    assert plain != answers[True]
    tokenizer = local.weights.tokenizer
    raw = transformers.AutoModelForCausalLM.from_pretrained(local.weights.folder).eval()
    for request, answer in zip(requests, answers[True], strict=True):
        turns = [{"role": m.role, "content": m.content} for m in request.messages]
        told = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with intervene(raw, edit), torch.inference_mode():
            made = raw.generate(**told, max_new_tokens=12, do_sample=False)
        text = tokenizer.decode(made[0, told["input_ids"].shape[1] :], skip_special_tokens=True)
        assert text.startswith(answer) or answer.startswith(text)


def test_a_local_model_gets_a_changed_twin_with_a_fingerprint_of_its_own(local: LocalModel) -> None:
    d = some_direction(local.weights.model)
    first, second = Steer(d, 2.0, [0]), Steer(d, -1.0, [1])
    with intervene(local, first) as once, intervene(once, second) as twice:
        assert len({m.fingerprint for m in (local, once, twice)}) == 3
        assert twice.edit is not None
        assert twice.edit.fingerprint == Compose(first, second).fingerprint
    assert local.edit is None


def test_bfloat16_models_can_be_changed_and_are_restored(local: LocalModel) -> None:
    weights = Weights(local.weights.folder, device="cpu", dtype="bfloat16")
    model = LocalModel("tiny", weights)
    seen: list[torch.Tensor] = []
    exchange = [Exchange((Message("user", "hi"),), "hello")]

    def read(which: LocalModel) -> torch.Tensor:
        seen.clear()
        read_exchanges(which, exchange, on_logits=lambda _, values: seen.append(values.clone()))
        return seen[0]

    before = read(model)
    changed = read(model.with_edit(Ablate(some_direction(weights.model))))
    assert changed.dtype == torch.bfloat16
    assert not torch.equal(changed, before)
    assert torch.equal(read(model), before)


def test_an_adapter_model_is_reached_through_its_wrapper(model_of: Callable[[str], Any], tmp_path: Path) -> None:
    from intervene_models import with_adapter

    model = with_adapter("llama", tmp_path)
    before = logits(model)
    with intervene(model, Steer(some_direction(model), 3.0, positions=POSITIONS["last-prompt"])):
        changed = logits(model)
    assert torch.equal(changed[:, :-1], before[:, :-1])
    assert not torch.equal(changed[:, -1], before[:, -1])
    assert torch.equal(logits(model), before)
