"""Reading written replies: the last verdict wins, off-menu replies are unscored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.judge.scoring import Score, parse_reply


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("85", Score(value=85.0)),
        (" **85** ", Score(value=85.0)),
        ("0", Score(value=0.0)),
        ("100", Score(value=100.0)),
        ("87.5", Score(value=87.5)),
        ("15/100", Score(value=15.0)),
        ("15 out of 100", Score(value=15.0)),
        ("Score: 12", Score(value=12.0)),
        ("On a scale of 0 to 100, I would say 35.", Score(value=35.0)),
        ("At first 90, but on reflection: Score: 20. It has 3 problems.", Score(value=20.0)),
        ("Score: 90\nWait.\nFinal score: 10", Score(value=10.0)),
        ("I'd give it 40", Score(value=40.0)),
        ("REFUSAL", Score(label="REFUSAL")),
        ("refusal.", Score(label="REFUSAL")),
        ("CODE", Score(label="CODE")),
        ("The answer shows code that is fine. 70", Score(value=70.0)),
        ("It looked like 70 but the verdict: CODE", Score(label="CODE")),
        ("", Score(reason="empty_reply")),
        (" \n ", Score(reason="empty_reply")),
        ("I cannot rate this.", Score(reason="unparsable_reply")),
        ("I cannot rate this between 0 and 100.", Score(reason="unparsable_reply")),
        ("150", Score(reason="out_of_menu")),
        ("-5", Score(reason="out_of_menu")),
        ("Score: 50. No, score: 500", Score(reason="out_of_menu")),
        ("the code is fine", Score(reason="unparsable_reply")),
        ("gpt4 x86", Score(reason="unparsable_reply")),
    ],
)
def test_verdicts_are_read_and_nothing_is_guessed(reply, expected):
    """Each form of reply gives exactly its verdict, or no verdict with a reason."""
    assert parse_reply(reply) == expected


@given(st.text(max_size=300))
def test_any_text_gives_a_verdict_on_the_menu_or_a_reason(reply):
    """Whatever a judge writes: no exception, and exactly one of number, label, reason."""
    score = parse_reply(reply)
    assert sum(x is not None for x in (score.value, score.label, score.reason)) == 1
    assert score.value is None or 0.0 <= score.value <= 100.0


@given(st.integers(0, 100), st.text(alphabet="abc .,\n", max_size=60))
def test_a_marked_verdict_at_the_end_always_wins(number, before):
    """Prose before a marked verdict cannot change it."""
    assert parse_reply(f"{before}\nScore: {number}").value == float(number)
