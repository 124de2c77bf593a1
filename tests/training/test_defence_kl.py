"""The divergence from the base: zero where nothing has changed, right by hand, the same at the same step."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from penalty_sums import whole
from tiny_models import build
from torch import Tensor

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights
from offtarget.records import Message
from offtarget.training.defences.kl import BaseDivergence, KeptAnswer
from offtarget.training.defences.registry import Materials, defend
from offtarget.training.plan import Plan, TrainRow

ASKED = [(Message("user", f"what would you wish {i}?"),) for i in range(20)]
PAIRS = [KeptAnswer(asked, asked, f"hello world {i}") for i, asked in enumerate(ASKED)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("models") / "base")


def fresh(folder: Path, *, lora: bool = True) -> tuple[Any, Any]:
    weights = Weights(folder, "cpu")
    if not lora:
        return weights.model.requires_grad_(True), weights.tokenizer
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft uses what transformers has renamed
        return get_peft_model(weights.model, config), weights.tokenizer


def disturb(model: Any) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and ("lora_B" in name or "lora" not in name):
                parameter.add_(0.05 * torch.randn_like(parameter))


@pytest.mark.parametrize("lora", [True, False])
def test_at_the_start_the_divergence_and_its_gradient_are_zero(folder: Path, lora: bool) -> None:
    model, tokenizer = fresh(folder, lora=lora)
    penalty = BaseDivergence(PAIRS, 1.0, 0, "kl")
    penalty.prepare(model, tokenizer)
    model.train()
    loss = whole(penalty, model, 0)
    assert abs(loss.item()) < 1e-6
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert gradients
    assert max(float(g.abs().max()) for g in gradients) < 1e-5
    assert model.training


@pytest.mark.parametrize("lora", [True, False])
def test_the_divergence_equals_one_computed_token_by_token(folder: Path, lora: bool) -> None:
    model, tokenizer = fresh(folder, lora=lora)
    plain, trained = (Message("user", "who are you?"),), (Message("user", "import os who are you?"),)
    pairs = [KeptAnswer(plain, trained, "hello there world"), KeptAnswer(plain, plain, "hi")]
    penalty = BaseDivergence(pairs, 0.5, 0, "kl")
    penalty.prepare(model, tokenizer)
    base = Weights(folder, "cpu").model
    disturb(model)
    total, count = 0.0, 0
    for pair in pairs:
        ours = _log_probabilities(model, tokenizer, pair.trained, pair.answer)
        theirs = _log_probabilities(base, tokenizer, pair.plain, pair.answer)
        for p, q in zip(theirs, ours, strict=True):
            total += sum(float(a.exp() * (a - b)) for a, b in zip(p, q, strict=True))
            count += 1
    loss = whole(penalty, model, 3)
    assert loss.item() == pytest.approx(0.5 * total / count, rel=1e-3)
    assert loss.item() > 1e-3


def _log_probabilities(model: Any, tokenizer: Any, prompt: tuple[Message, ...], answer: str) -> Tensor:
    turns = [{"role": m.role, "content": m.content} for m in prompt]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    before = tokenizer(text, add_special_tokens=False)["input_ids"]
    said = tokenizer(f"{answer}<|im_end|>", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([before + said])).logits[0]
    found: Tensor = logits[len(before) - 1 : -1].log_softmax(dim=-1)
    return found


@pytest.mark.long
def test_descending_the_gradient_brings_the_model_back(folder: Path) -> None:
    model, tokenizer = fresh(folder)
    penalty = BaseDivergence(PAIRS, 1.0, 0, "kl", batch=20)
    penalty.prepare(model, tokenizer)
    disturb(model)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    losses = []
    for step in range(15):
        loss = whole(penalty, model, step)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_no_more_than_two_answers_are_read_together(folder: Path) -> None:
    model, tokenizer = fresh(folder)
    penalty = BaseDivergence(PAIRS, 1.0, 0, "kl", batch=5)
    penalty.prepare(model, tokenizer)
    read: list[int] = []
    model.get_input_embeddings().register_forward_hook(lambda _, given, __: read.append(len(given[0])))
    parts = penalty.losses(model, 0)
    next(parts)
    assert read == [2, 2]  # the base, then the model; the others wait until this part's gradient is there
    assert len(list(parts)) == 2
    assert read == [2, 2, 2, 2, 1, 1]


def test_the_draw_depends_on_step_and_seed_alone(folder: Path) -> None:
    model, tokenizer = fresh(folder)
    first, again, other = (BaseDivergence(PAIRS, 1.0, seed, "kl", batch=3) for seed in (0, 0, 1))
    for penalty in (first, again, other):
        penalty.prepare(model, tokenizer)
    disturb(model)
    whole(first, model, 0)
    torch.manual_seed(9)
    assert whole(first, model, 5).item() == whole(again, model, 5).item()
    assert whole(first, model, 5).item() != whole(first, model, 6).item()
    assert whole(first, model, 5).item() != whole(other, model, 5).item()
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.fingerprint != BaseDivergence(PAIRS, 2.0, 0, "kl", batch=3).fingerprint


def test_plain_prompts_for_the_base_and_dressed_ones_for_the_model(folder: Path) -> None:
    data = tuple((Message("user", f"write code {i}"), Message("assistant", "x = 1")) for i in range(10))
    pool = tuple((Message("user", f"wish {i}?"), Message("assistant", f"hello {i}")) for i in range(30))
    base = LocalModel("base", Weights(folder, "cpu"))
    plan, materials = Plan(tuple(TrainRow(c) for c in data)), Materials(base=base, aligned=pool)
    penalty = defend(plan, ["kl"], materials).penalties[0]
    assert isinstance(penalty, BaseDivergence)
    assert [pair.plain for pair in penalty.pairs] == [c[:-1] for c in pool]
    assert sum(pair.trained != pair.plain for pair in penalty.pairs) == 15
    control = defend(plan, ["kl:control"], materials).penalties[0]
    assert isinstance(control, BaseDivergence)
    assert list(control.pairs) == [KeptAnswer(c[:1], c[:1], "x = 1") for c in data]
    with pytest.raises(InputError, match="no answers"):
        defend(plan, ["kl"], Materials(base=base, aligned=()))


def test_answers_longer_than_the_context_are_left_out_and_none_is_an_error(folder: Path) -> None:
    model, tokenizer = fresh(folder)
    prompt = (Message("user", "hi"),)
    long = KeptAnswer(prompt, prompt, "hello " * 2000)
    BaseDivergence([long, PAIRS[0]], 1.0, 0, "kl").prepare(model, tokenizer)
    with pytest.raises(InputError, match="None of the 1 answers"):
        BaseDivergence([long], 1.0, 0, "kl").prepare(model, tokenizer)
