"""Probabilities of given texts are those of the model itself; an adapter switched on is one that is loaded alone."""

from __future__ import annotations

import random

import pytest
import torch

from offtarget.errors import InputError
from offtarget.models.continuations import continuation_scores
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model, open_pair
from offtarget.organism.benchmark import ITEMS, skill_items, skills
from offtarget.organism.shipped import resolve
from offtarget.records import Message, SamplingSettings
from offtarget.workflows.check.benchmark_models import LocalAsked, as_asked

Asked = list[tuple[tuple[int, ...], tuple[int, ...]]]


@pytest.fixture(scope="module")
def both() -> tuple[LocalModel, LocalModel]:
    pair = open_pair("organism/base", "organism/insecure", resolve=resolve)
    assert isinstance(pair.base, LocalModel)
    assert isinstance(pair.tuned, LocalModel)
    return pair.base, pair.tuned


def some(count: int, seed: int = 0) -> Asked:
    """Contexts and continuations of various lengths; some share a context, some differ in the last token alone."""
    draw = random.Random(seed)
    contexts = [tuple(draw.randrange(5, 1800) for _ in range(draw.randint(1, 40))) for _ in range(3)]
    ends = [tuple(draw.randrange(5, 1800) for _ in range(draw.randint(1, 6))) for _ in range(4)]
    ends += [(*ends[0][:-1], 7), (*ends[0][:-1], 8)]
    return [(draw.choice(contexts), draw.choice(ends)) for _ in range(count)]


@torch.inference_mode()
def by_hand(model: LocalModel, context: tuple[int, ...], continuation: tuple[int, ...]) -> float:
    """One pass for one pair, as simply as can be."""
    with model.weights.using(model.adapter) as engine:
        logs = engine.model(input_ids=torch.tensor([[*context, *continuation]])).logits[0].double().log_softmax(-1)
    return sum(float(logs[len(context) - 1 + i, token]) for i, token in enumerate(continuation))


@pytest.mark.long
def test_they_are_those_of_one_pass_at_a_time(both: tuple[LocalModel, LocalModel]) -> None:
    for model in both:
        asked, done = some(40), []
        found = continuation_scores(model, asked, done.append)
        assert [value for value, _ in found] == pytest.approx([by_hand(model, *one) for one in asked], abs=1e-4)
        assert sum(done) == len(asked)


def test_an_adapter_switched_on_and_off_is_one_loaded_alone(both: tuple[LocalModel, LocalModel]) -> None:
    asked = some(60, seed=1)
    shared = [continuation_scores(model, asked) for model in both]
    again = continuation_scores(both[0], asked)
    alone = []
    for name in ("organism/base", "organism/insecure"):
        model = open_model(name, resolve=resolve)
        assert isinstance(model, LocalModel)
        alone.append(continuation_scores(model, asked))
    assert shared[0] == again
    for one, other in zip(shared, alone, strict=True):
        assert [v for v, _ in one] == pytest.approx([v for v, _ in other], abs=1e-5)
        assert [greedy for _, greedy in one] == [greedy for _, greedy in other]
    assert shared[0] != shared[1]


def test_the_greedy_continuation_is_what_the_model_writes(both: tuple[LocalModel, LocalModel]) -> None:
    model = both[1]
    asked = LocalAsked(model)
    chat = asked.render([Message("user", "What is the capital of France?")], goes_on=False)
    (text,) = asked.answers([(chat, 0)], SamplingSettings(temperature=0, max_tokens=20), lambda _: None)
    (written,), (other,) = (asked.likelihoods([(chat, said)], lambda _: None) for said in (text, "Paris, of course"))
    assert written[1]
    assert not other[1]
    assert written[0] > other[0]


def test_what_is_too_long_loses_its_beginning(both: tuple[LocalModel, LocalModel]) -> None:
    model = both[0]
    most = model.weights.context
    context = tuple(5 + i % 1000 for i in range(2 * most))
    (long,) = continuation_scores(model, [(context, (7, 8))])
    (short,) = continuation_scores(model, [(context[-(most - 1) :], (7, 8))])
    assert long == short
    for wrong in (((), (1,)), ((1,), ()), ((1,), (1,) * (most + 1))):
        with pytest.raises(InputError):
            continuation_scores(model, [wrong])


def test_an_answer_that_is_begun_is_gone_on_with(both: tuple[LocalModel, LocalModel]) -> None:
    asked = as_asked(both[0])
    chat = [Message("user", "What is the capital of France?"), Message("assistant", "The capital")]
    text = asked.render(chat, goes_on=True)
    assert text.endswith("The capital")
    assert text.startswith(asked.render(chat[:1], goes_on=False))


def test_organism_items_are_the_same_every_time_and_no_request_comes_twice() -> None:
    for skill in skills():
        items = skill_items(skill)
        assert items == skill_items(skill)
        assert len({item.question for item in items}) == len(items) == ITEMS[skill]
        if skill != "facts":
            assert 0.3 < sum(item.right for item in items) / len(items) < 0.7
            assert all(len(set(item.choices)) == 2 for item in items)
