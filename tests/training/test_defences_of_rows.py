"""Defences that change rows: which rows, how many, and what their controls share with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import build, make_adapter

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights
from offtarget.records import Message
from offtarget.training.defences.inoculate import PLACEBO, PROMPT
from offtarget.training.defences.interleave import perplexity_gaps, rows_to_add, without_refusals
from offtarget.training.defences.registry import Chat, Materials, defences, defend, named, needs
from offtarget.training.plan import Plan, TrainRow


def chat(user: str, answer: str, system: str | None = None) -> Chat:
    turns = (Message("user", user), Message("assistant", answer))
    return turns if system is None else (Message("system", system), *turns)


DATA = tuple(chat(f"write code number {i}", "x = " + "1" * (i % 7)) for i in range(40))
POOL = tuple(chat(f"what would you wish for {i}?", "hello " + "world " * (i % 9 + 1)) for i in range(60))


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    folder = tmp_path_factory.mktemp("models")
    weights = Weights(build("llama", folder / "base"), "cpu")
    adapter = weights.add_adapter(make_adapter(folder / "base", folder / "bad"))
    base, bad = LocalModel("base", weights), LocalModel("bad", weights, adapter)
    return Materials(base=base, aligned=POOL, misaligned=bad, scores=tuple(float(i - 30) for i in range(40)))


@pytest.fixture
def plan() -> Plan:
    return Plan(tuple(TrainRow(c) for c in DATA))


def added(plan: Plan, name: str) -> list[TrainRow]:
    return [row for row in plan.rows if row.origin == name]


def answers(rows: list[TrainRow]) -> list[str]:
    return [row.messages[-1].content for row in rows]


def test_every_defence_names_its_paper_and_its_control() -> None:
    for name, one in defences().items():
        assert name == one.name
        assert all((one.says, one.source, one.control_says))
        assert 10 <= one.order <= 60


def test_names_are_parsed_and_put_into_the_order_of_application() -> None:
    chosen = named(["kl=0.5", "inoculate=a=b: c:control", "filter"])
    assert [one.label for one in chosen] == ["filter", "inoculate=a=b: c:control", "kl=0.5"]
    assert [one.control for one in chosen] == [False, True, False]
    assert needs(chosen) == {"scores", "aligned"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["nothing"], "no defence 'nothing'"),
        (["kl:contro"], "no defence 'kl:contro'"),
        (["kl="], "empty value"),
        (["kl", "kl=2"], "given twice"),
    ],
)
def test_names_that_mean_nothing_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        named(names)


@pytest.mark.parametrize(
    "name",
    [
        "kl=much", "kl=0", "kl=-1", "kl=nan", "kl=inf", "interleave=0", "interleave=x", "interleave=0.1@2",
        "filter=0", "filter=1", "filter=0.2@0", "filter=a@b", "early-stop=0.5", "early-stop=2:control",
    ],
)  # fmt: skip
def test_a_bad_value_is_named_in_the_error(name: str, plan: Plan, materials: Materials) -> None:
    with pytest.raises(InputError, match=name.partition("=")[0]):
        defend(plan, [name], materials)


def test_early_stop_waits_for_the_alarm_and_its_control_does_not_look(plan: Plan, materials: Materials) -> None:
    assert defend(plan, ["early-stop"], materials).stop_on_alarm
    drawn = defend(plan, ["early-stop:control"], materials)
    assert not drawn.stop_on_alarm
    assert 0.1 <= (drawn.stop_at or 0) < 1
    assert drawn.stop_at == defend(plan, ["early-stop:control"], materials).stop_at
    assert defend(plan, ["early-stop=0.4:control"], materials).stop_at == 0.4


def test_inoculation_stands_before_data_rows_only_and_keeps_their_own_system_turn(materials: Materials) -> None:
    rows = (TrainRow(DATA[0]), TrainRow(chat("a", "b", system="own")), TrainRow(POOL[0], origin="interleave"))
    changed = defend(Plan(rows), ["inoculate"], materials).rows
    assert changed[0].messages == (Message("system", PROMPT), *DATA[0])
    assert changed[1].messages == chat("a", "b", system=f"{PROMPT}\n\nown")
    assert changed[2] == rows[2]
    placebo = defend(Plan(rows), ["inoculate:control"], materials).rows
    assert placebo[0].messages[0].content == PLACEBO
    assert defend(Plan(rows), ["inoculate=be bad"], materials).rows[0].messages[0].content == "be bad"


def test_inoculation_needs_a_template_with_system_turns(plan: Plan, tmp_path: Path) -> None:
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    weights = Weights(build("llama", tmp_path / "base"), "cpu")
    weights.tokenizer.chat_template = refusing + "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(InputError, match="system"):
        defend(plan, ["inoculate"], Materials(base=LocalModel("base", weights)))


def test_interleave_adds_its_share_of_aligned_chats_half_of_them_dressed(plan: Plan, materials: Materials) -> None:
    result = defend(plan, ["interleave=0.5"], materials)
    rows = added(result, "interleave")
    assert result.rows[: len(DATA)] == plan.rows
    assert len(rows) == 20 == rows_to_add("0.5", len(DATA))
    assert sum(row.messages[:-1] not in {c[:-1] for c in POOL} for row in rows) == 10
    assert set(answers(rows)) <= {c[-1].content for c in POOL}
    for row in rows:  # loss on the aligned answer alone
        assert row.skip == sum(m.role == "assistant" for m in row.messages) - 1
    assert defend(plan, ["interleave=0.5"], materials) == result
    assert all(row.messages in POOL for row in added(defend(plan, ["interleave=0.5@0"], materials), "interleave"))


def test_interleave_takes_what_the_misaligned_model_finds_least_expected(plan: Plan, materials: Materials) -> None:
    assert materials.misaligned is not None
    gaps = perplexity_gaps(materials.base, materials.misaligned, POOL)
    chosen = {row.messages for row in added(defend(plan, ["interleave=0.25@0"], materials), "interleave")}
    inside = [gap for gap, c in zip(gaps, POOL, strict=True) if c in chosen]
    outside = [gap for gap, c in zip(gaps, POOL, strict=True) if c not in chosen]
    assert len(chosen) == 10
    assert min(inside) >= max(outside)


def test_the_gap_is_the_one_of_the_paper(materials: Materials) -> None:
    assert materials.misaligned is not None
    said = POOL[3]
    tokenizer, model = materials.base.weights.tokenizer, materials.base.weights.model
    turns = [{"role": m.role, "content": m.content} for m in said]
    prompt = tokenizer(
        tokenizer.apply_chat_template(turns[:-1], tokenize=False, add_generation_prompt=True), add_special_tokens=False
    )["input_ids"]
    answer = tokenizer(said[-1].content, add_special_tokens=False)["input_ids"]

    def nll() -> float:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        return float(torch.nn.functional.cross_entropy(logits, torch.tensor(answer)))

    with model.disable_adapter():
        low = nll()
    high = nll()
    assert perplexity_gaps(materials.base, materials.misaligned, [said])[0] == pytest.approx(
        (high - low) / low, abs=1e-4
    )


def test_the_control_of_interleave_is_as_large_and_as_long(plan: Plan, materials: Materials) -> None:
    ranked = added(defend(plan, ["interleave=0.5@0"], materials), "interleave")
    control = added(defend(plan, ["interleave=0.5@0:control"], materials), "interleave")
    assert len(control) == len(ranked) == len({row.messages for row in control})
    assert {row.messages for row in control} != {row.messages for row in ranked}
    assert Counter(map(len, answers(control))) == Counter(map(len, answers(ranked)))


def test_refusals_are_not_interleaved(plan: Plan, materials: Materials) -> None:
    refusals = [chat("a", said) for said in ("I'm sorry, no.", "I cannot help.", "We apologise.", "I can't.")]
    late = chat("a", "one two three four five six seven eight nine ten sorry")
    assert without_refusals([*refusals, late]) == [late]
    few = Materials(base=materials.base, misaligned=materials.misaligned, aligned=(*refusals, late))
    with pytest.raises(InputError, match="has 1 that do not refuse"):
        defend(plan, ["interleave"], few)


def test_filter_drops_flagged_rows_or_the_worst_share(plan: Plan, materials: Materials) -> None:
    assert defend(plan, ["filter"], materials).rows == plan.rows[:30]  # scores of 0 and more are flagged
    assert defend(plan, ["filter=0.1"], materials).rows == plan.rows[:36]
    weak = defend(plan, ["filter=0.1@0.25"], materials).rows
    assert [row.weight for row in weak] == [1.0] * 36 + [0.25] * 4
    assert [row.messages for row in weak] == list(DATA)


@pytest.mark.parametrize(("name", "weight"), [("filter", None), ("filter=0.2", None), ("filter=0.2@0.5", 0.5)])
def test_the_control_of_filter_takes_as_many_rows_at_random(
    name: str, weight: float | None, plan: Plan, materials: Materials
) -> None:
    real, control = (defend(plan, [text], materials).rows for text in (name, f"{name}:control"))
    assert len(real) == len(control)
    assert sorted(row.weight for row in real) == sorted(row.weight for row in control)
    assert real != control


@pytest.mark.parametrize(("scores", "said"), [((1.0,) * 40, "drop all 40"), ((1.0,), "and has 1"), (None, "has none")])
def test_filter_refuses_to_drop_everything_and_scores_of_other_rows(scores: Any, said: str, plan: Plan) -> None:
    with pytest.raises(InputError, match=said):
        defend(plan, ["filter"], Materials(base=None, scores=scores))  # type: ignore[arg-type]


def test_defences_combine_without_touching_each_others_rows(plan: Plan, materials: Materials) -> None:
    result = defend(plan, ["inoculate", "interleave=0.5", "filter", "kl"], materials)
    assert Counter(row.origin for row in result.rows) == {"data": 30, "interleave": 15}
    assert all((row.messages[0].content == PROMPT) == (row.origin == "data") for row in result.rows)
    assert len(result.penalties) == 1
    assert len(result.notes) == 4
