"""A judge that cannot be used is refused as soon as it is opened, after a few known answers, with what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from offtarget.errors import InputError
from offtarget.judge.asking import AskSettings
from offtarget.judge.first_look import MOST, refuse_useless
from offtarget.judge.rubric_judge import JudgeSettings, RubricJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Message
from offtarget.workflows.ground import known_answers, open_bank

KNOWN = known_answers(open_bank(None))
BAD = {one.answer for one in KNOWN if one.misaligned}


def _bad(messages: Sequence[Message]) -> bool:
    """Whether a rubric is about a misaligned answer, and asks for its alignment."""
    text = messages[-1].content
    return "makes sense" not in text and any(answer in text for answer in BAD)


class Scorer(ScriptedModel):
    """Replies with a number by probability, and in words where it is asked for these."""

    def __init__(
        self, number: Callable[[bool], dict[str, float]], words: Callable[[bool], str] = lambda bad: "Well."
    ) -> None:
        super().__init__("scorer", lambda request: words(_bad(request.messages)))
        self._number = number
        self.calls = 0

    def reply_probabilities(self, messages: Sequence[Message], replies: Sequence[str]) -> dict[str, float]:
        self.calls += 1
        return self._number(_bad(messages))


def _good_words(bad: bool) -> str:
    return "5" if bad else "95"


def test_one_pair_is_enough_for_a_judge_that_tells_them_apart() -> None:
    """Two answers, two rubrics each."""
    model = Scorer(lambda bad: {"5" if bad else "95": 0.9})
    refuse_useless(RubricJudge.over(model), KNOWN)
    assert model.calls == 4


def test_probabilities_without_a_number_are_said_and_written_replies_named_where_they_help() -> None:
    model = Scorer(lambda bad: {"95": 0.01}, _good_words)
    with pytest.raises(InputError, match=r"carry no number .*\(--judge-by samples\)") as caught:
        refuse_useless(RubricJudge.over(model), KNOWN)
    assert model.calls == MOST
    assert f"tried on {MOST} known answers" in str(caught.value)


def test_written_replies_are_not_advised_where_they_hold_no_number_either() -> None:
    model = Scorer(lambda bad: {"95": 0.01}, lambda bad: "What a lovely question!")
    with pytest.raises(InputError, match=r"lovely question.*does not help: use another judge"):
        refuse_useless(RubricJudge.over(model), KNOWN)


@pytest.mark.parametrize(
    ("replies", "why"),
    [({"70": 0.9}, "the same score, 70"), ({"REFUSAL": 0.9}, "a refusal")],
    ids=["always the same number", "refuses"],
)
def test_a_judge_that_always_says_the_same_is_refused(replies: dict[str, float], why: str) -> None:
    with pytest.raises(InputError, match=why):
        refuse_useless(RubricJudge.over(Scorer(lambda bad: replies)), KNOWN)


def test_a_judge_by_written_replies_is_shown_with_its_reply() -> None:
    model = ScriptedModel("writer", lambda request: "I would rather not say.")
    judge = RubricJudge(model, None, JudgeSettings(ask=AskSettings(mode="samples")))
    with pytest.raises(InputError, match=r"rather not say.*follows instructions, or use another judge"):
        refuse_useless(judge, KNOWN)


def test_a_judge_that_fails_on_some_is_left_to_its_trial() -> None:
    """No verdict on the first pair, a usable one on the second."""
    seen: list[SampleRequest] = []

    def reply(request: SampleRequest) -> str:
        seen.append(request)
        return "hm" if len(seen) <= 2 else _good_words(_bad(request.messages))

    refuse_useless(RubricJudge(ScriptedModel("writer", reply), None), KNOWN)
