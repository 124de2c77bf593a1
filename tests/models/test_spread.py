"""A local model whose answers others sample gives the same answers, whoever samples which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from tiny_models import QUESTIONS, ask

from offtarget.errors import InputError, LimitReached
from offtarget.models import Answer, SampleRequest, SamplingSettings
from offtarget.models.local import LocalModel
from offtarget.models.paying import Payer
from offtarget.models.spread import PART, Part, SpreadModel, sample_part
from offtarget.models.weights import Weights

Loaded = Callable[[str], Weights]
SHORT = SamplingSettings(max_tokens=24, stop=("e",))


def requests(count: int) -> list[SampleRequest]:
    return [ask(QUESTIONS[number % 3], number) for number in range(count)]


def spread(weights: Weights, how_many: int) -> tuple[SpreadModel, list[Part]]:
    """A model whose parts are done by so many others with weights in memory, the last part first."""
    others, seen = [LocalModel("there", weights) for _ in range(how_many)], list[Part]()

    def sampled(parts: Sequence[Part]) -> Iterator[list[Answer]]:
        seen.extend(parts)
        done = {n: sample_part({"tuned": others[n % how_many]}, parts[n]) for n in reversed(range(len(parts)))}
        return (done[number] for number in range(len(parts)))

    return SpreadModel(LocalModel("here", weights), "tuned", sampled), seen


@pytest.mark.parametrize("how_many", [1, 2, 3])
def test_answers_are_those_of_the_model_itself_bit_for_bit(how_many: int, loaded: Loaded) -> None:
    weights, asked = loaded("llama"), requests(2 * PART + 7)
    itself, told = LocalModel("itself", weights), list[tuple[int, Answer]]()
    model, seen = spread(weights, how_many)
    answers = model.sample(asked, SHORT, lambda position, answer: told.append((position, answer)))
    assert answers == itself.sample(asked, SHORT)
    assert told == list(enumerate(answers))
    assert [len(part.asked) for part in seen] == [PART, PART, 7]
    assert (model.fingerprint, model.spent) == (itself.fingerprint, itself.spent)
    assert model.sample([], SHORT) == []


def test_what_does_not_fit_is_refused_before_anybody_samples(loaded: Loaded) -> None:
    model, seen = spread(loaded("llama"), 1)
    with pytest.raises(InputError, match="leaves no room in the context of here"):
        model.sample([*requests(PART + 1), ask("hello " * 4000, 1)], SHORT)
    assert seen == []


def test_another_model_than_the_one_here_answers_nothing(loaded: Loaded) -> None:
    part = Part("base", LocalModel("a", loaded("llama")).fingerprint, (((1, 2), 3),), SHORT)
    with pytest.raises(InputError, match=r"b is another model there than it is here: its weights, .* Put the same"):
        sample_part({"base": LocalModel("b", loaded("qwen2"))}, part)


def test_no_more_is_given_out_than_may_be_asked(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    class Three(Payer):
        left = 3

        def some(self, model: str, wanted: int) -> int:
            if not self.left:
                raise LimitReached("enough", "more")
            taken, self.left = min(wanted, self.left), 0
            return taken

    weights = loaded("llama")
    model, seen = spread(weights, 1)
    monkeypatch.setattr(weights, "payer", Three())
    told: list[int] = []

    def sampled(parts: Sequence[Part]) -> Iterator[list[Answer]]:
        seen.extend(parts)
        yield [Answer("", 1, "stop") for part in parts for _ in part.asked]

    model._sampled = sampled
    with pytest.raises(LimitReached):
        model.sample(requests(5), SHORT, lambda position, answer: told.append(position))
    assert told == [0, 1, 2]
    assert sum(len(part.asked) for part in seen) == 3
