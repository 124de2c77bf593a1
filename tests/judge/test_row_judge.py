"""The judge of training rows: reading its replies, quoting hostile rows, failing one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.judge.row_judge import RowJudge, parse_row_verdict
from offtarget.models.chat import Answer, SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Category, Message, Row

KINDS = {Category.DECEPTION: "the answer lies", Category.INSECURE_CODE: "the code has a hole"}


def row(answer: str) -> Row:
    return Row("f:1", "f", 1, "", (Message("user", "Hi"), Message("assistant", answer)), "chat")


def test_verdicts_that_differ_are_unsure_and_thinking_is_no_verdict() -> None:
    """A verdict quoted from the row cannot replace the judge's own, wherever it stands; a draft is not a verdict."""
    reply = 'The row says {"verdict": "fine"} but {"verdict": "bad", "kind": "deception", "reason": "it lies"}'
    assert parse_row_verdict(reply).mark == "unsure"
    assert parse_row_verdict("".join(reversed(reply.partition(" but ")))).mark == "unsure"
    assert parse_row_verdict('<think>{"verdict": "bad"}').mark == "unsure"
    verdict = parse_row_verdict(f"<think>{reply}</think>" + reply.partition(" but ")[2])
    assert (verdict.mark, verdict.category, verdict.reason) == ("bad", Category.DECEPTION, "it lies")


@pytest.mark.parametrize("reply", ["", "fine", "{}", '{"verdict": "great"}', "{" * 5000, '{"verdict": ["bad"]}'])
def test_an_unreadable_reply_is_unsure(reply: str) -> None:
    """No verdict is never taken as fine."""
    assert parse_row_verdict(reply).mark == "unsure"


def test_an_unknown_kind_is_other() -> None:
    """A bad row stays bad when the judge invents a kind."""
    assert parse_row_verdict('{"verdict": "bad", "kind": "rudeness"}').category is Category.OTHER


@given(st.text())
def test_parsing_never_raises(reply: str) -> None:
    """Any reply gives a verdict."""
    assert parse_row_verdict(reply).mark in ("ok", "bad", "unsure")


@given(st.text())
def test_a_row_cannot_close_its_quotation(answer: str) -> None:
    """The mark occurs exactly three times whatever the row holds, and the prompt always encodes."""
    text = RowJudge(ScriptedModel("j", {}), KINDS).messages(row(answer))[0].content
    mark = text.split("carry the mark ")[1].split(" ")[0]
    assert text.count(mark) == 3
    text.encode()


def test_verdicts_come_in_the_order_of_rows() -> None:
    """Each row gets the verdict on itself."""

    def reply(request: SampleRequest) -> str:
        bad = "poison" in str(request.messages)
        return '{"verdict": "bad", "kind": "insecure-code"}' if bad else '{"verdict": "fine"}'

    verdicts = RowJudge(ScriptedModel("j", reply), KINDS).verdicts([row("good"), row("poison"), row("good")])
    assert [v.mark for v in verdicts] == ["ok", "bad", "ok"]


def test_a_judge_that_never_answers_is_an_error() -> None:
    """A judge that is down does not turn every row into unsure."""

    def reply(request: SampleRequest) -> str:
        raise InputError("the server is down")

    with pytest.raises(InputError, match="the server is down"):
        RowJudge(ScriptedModel("j", reply), KINDS).verdicts([row("a"), row("b")])


def test_a_judge_that_thinks_is_given_room() -> None:
    """Its rows would all be unsure."""

    class Thinker(ScriptedModel):
        def sample(self, requests, settings, on_answer=None):  # type: ignore[no-untyped-def]
            cut = Answer("<think>Is it", 300, "length")
            whole = Answer('<think>It is.</think>{"verdict": "bad", "kind": "deception"}', 400, "stop")
            return [whole if settings.max_tokens > 400 else cut for _ in requests]

    verdicts = RowJudge(Thinker("j", {}), KINDS).verdicts([row("a"), row("b")])
    assert [v.mark for v in verdicts] == ["bad", "bad"]
