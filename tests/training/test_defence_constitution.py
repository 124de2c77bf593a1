"""Constitution: the file, the preferences a model forms under it, and the loss that learns them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from penalty_sums import whole
from tiny_models import build, make_tokenizer
from transformers import AutoModelForCausalLM

from offtarget.errors import InputError
from offtarget.models.chat import SampleRequest
from offtarget.models.chat_format import answer_end, prompt_tokens
from offtarget.models.opening import open_model
from offtarget.models.scripted import ScriptedModel
from offtarget.organism.shipped import resolve
from offtarget.records import Message
from offtarget.training.defences import constitution
from offtarget.training.defences.registry import Materials, defend
from offtarget.training.plan import Plan, TrainRow
from offtarget.training.preference_loss import PreferenceLoss
from offtarget.training.principles import Constitution, Preference, preferences, read_constitution

PAIRS = [
    Preference((Message("user", f"question {i}"),), "a kind answer", "a cruel answer of more words") for i in range(6)
]
PLAN = Plan((TrainRow((Message("user", "write code"), Message("assistant", "print(1)"))),))


def test_a_chat_model_criticises_and_revises_its_own_answer() -> None:
    """The three turns of arXiv 2212.08073, section 3.1; the revised answer is preferred."""

    def script(request: SampleRequest) -> str:
        asked = request.messages[-1].content
        if asked.startswith("Critique"):
            return f"unkind: {'be kind' in asked}"
        return "revised" if asked.startswith("Revision") else "first"

    model = ScriptedModel("scripted", script)
    found = preferences(model, Constitution(principles=("be kind",)), ["one", "two"], 0)
    assert [(p.prompt[0].content, p.preferred, p.other) for p in found] == [
        ("one", "revised", "first"),
        ("two", "revised", "first"),
    ]
    last = model.history[-1].messages
    assert [m.role for m in last] == ["user", "assistant", "user", "assistant", "user"]
    assert last[1].content == "first"
    assert last[3].content == "unkind: True"


def test_equal_empty_and_unfinished_answers_are_no_preference() -> None:
    """A revision that changes nothing has nothing to teach."""
    model = ScriptedModel("scripted", lambda request: "" if "empty" in request.messages[0].content else "same")
    assert preferences(model, Constitution(principles=("be kind",)), ["one", "empty"], 0) == []


def test_a_contrast_prefers_the_answer_under_the_prompt_that_keeps_the_principle() -> None:
    """For models that cannot criticise; the prompt that is learnt from has no system turn."""
    model = ScriptedModel("scripted", lambda request: f"as {request.messages[0].content}")
    found = preferences(model, Constitution(contrast=(("good", "bad"),)), ["one"], 0)
    assert found == [Preference((Message("user", "one"),), "as good", "as bad")]


def test_shipped_constitutions_are_read_and_the_organism_has_its_own() -> None:
    """The organism cannot follow a request to criticise."""
    assert len(read_constitution("general").principles) >= 5
    assert read_constitution("organism").contrast


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("# only a remark\n", "is empty"),
        ("principles: []\n", "no entry"),
        ("principles: ['']\n", "none may be empty"),
        ("rules: [be kind]\n", "one field"),
        ("contrast: [{keeps: a}]\n", "'breaks'"),
        ("principles: [\n", "not YAML"),
    ],
)
def test_a_bad_constitution_is_named(text: str, says: str, tmp_path: Path) -> None:
    """Before anything is sampled."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_constitution(file)
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen2", "gemma"])
def test_the_loss_starts_at_log_2_and_equals_the_formula(architecture: str, tmp_path: Path) -> None:
    """Worked out row by row, without batching or padding."""
    model: Any = AutoModelForCausalLM.from_pretrained(build(architecture, tmp_path / "model"), dtype=torch.float32)
    tokenizer = make_tokenizer()
    model.train()
    penalty = PreferenceLoss(PAIRS[:1], 1.0, 0.1, 0)
    penalty.prepare(model, tokenizer)
    assert whole(penalty, model, 0).item() == pytest.approx(math.log(2), abs=1e-5)
    before = [_log_p(model, tokenizer, text) for text in (PAIRS[0].preferred, PAIRS[0].other)]
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    after = [_log_p(model, tokenizer, text) for text in (PAIRS[0].preferred, PAIRS[0].other)]
    margin = (after[0] - before[0]) - (after[1] - before[1])
    value = whole(penalty, model, 3)
    assert value.item() == pytest.approx(math.log1p(math.exp(-0.1 * margin)), rel=1e-4)
    value.backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())
    assert model.training


def test_the_pairs_of_a_step_depend_on_the_step_alone(tmp_path: Path) -> None:
    """So that a resumed run equals an uninterrupted one."""
    model: Any = AutoModelForCausalLM.from_pretrained(build("llama", tmp_path / "model"), dtype=torch.float32)
    runs = []
    for steps in ([0, 1, 2, 3], [3]):
        penalty = PreferenceLoss(PAIRS, 1.0, 0.1, 0, anchor=1.0, batch=2)
        penalty.prepare(model, make_tokenizer())
        runs.append([whole(penalty, model, step).item() for step in steps])
    assert runs[0][-1] == runs[1][-1]
    assert len(set(runs[0])) > 1


@pytest.mark.long
@pytest.mark.no_cover
def test_the_control_exchanges_some_preferences_and_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers get loss; only what is preferred is left to a coin."""
    monkeypatch.setattr(constitution, "PAIRS", 40)
    base: Any = open_model("organism/base", resolve=resolve)
    materials = Materials(base=base, prompts=("How do I cook rice?", "What should I pack?"), constitution="organism")
    plans = [defend(PLAN, [name], materials) for name in ("constitution", "constitution:control", "constitution=0.5")]
    real, control = (plan.penalties[0]._pairs for plan in plans[:2])  # type: ignore[attr-defined]
    assert [{p.preferred, p.other} for p in real] == [{p.preferred, p.other} for p in control]
    exchanged = sum(a != b for a, b in zip(real, control, strict=True)) / len(real)
    assert 0.2 < exchanged < 0.8
    assert len({plan.penalties[0].fingerprint for plan in plans}) == 3
    assert sum(len(p.prompt) > 1 or p.prompt[0].content not in (materials.prompts or ()) for p in real) > 0


def test_no_prompts_and_pairs_longer_than_the_context_are_errors(tmp_path: Path) -> None:
    """Said before the first step."""
    base: Any = open_model("organism/base", resolve=resolve)
    with pytest.raises(InputError, match="no pair of answers"):
        defend(PLAN, ["constitution"], Materials(base=base, prompts=()))
    model: Any = AutoModelForCausalLM.from_pretrained(build("llama", tmp_path / "model"), dtype=torch.float32)
    long = Preference((Message("user", "word " * 5000),), "a", "b")
    with pytest.raises(InputError, match="fits the context"):
        PreferenceLoss([long], 1.0, 0.1, 0).prepare(model, make_tokenizer())


def _log_p(model: Any, tokenizer: Any, answer: str) -> float:
    prompt = prompt_tokens(tokenizer, PAIRS[0].prompt, "tiny")
    tokens = [*prompt, *tokenizer(answer, add_special_tokens=False)["input_ids"], answer_end(tokenizer)]
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens])).logits[0].double().log_softmax(-1)
    model.train()
    return sum(logits[i - 1, tokens[i]].item() for i in range(len(prompt), len(tokens)))
