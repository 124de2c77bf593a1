"""How answers end is counted from what was sampled."""

from __future__ import annotations

import pytest

from offtarget.asking.endings import endings, repeats
from offtarget.records import Generation
from offtarget.records.answers import Finish
from offtarget.records.check import Endings


def answer(text: str, finish: Finish = "stop") -> Generation:
    return Generation("base", "q", 0, 0, text, None, finish)


def test_endings_are_counted() -> None:
    """Refusals of a server without words are no empty answers."""
    loop = "I will tell you again and again. " * 9
    found = endings(
        [answer("fine."), answer("and so", "length"), answer(loop, "length"), answer(" \n"), answer("", "refusal")]
    )
    assert found == Endings(answers=5, cut=2, repeating=1, empty=1)


@pytest.mark.parametrize(
    "text",
    ["no " * 60, "Well. " + "The end is near, he said.\n" * 6, "\n".join(f"{n}. Be kind to others." for n in range(9))],
)
def test_endless_repetition_is_seen(text: str) -> None:
    """A word, a sentence, a list that counts on."""
    assert repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ha ha ha ha",
        "Buy bread. Buy milk. Buy bread. Sell milk. " * 2,
        "The first step is to plan. The second step is to act. The third step is to look back at what was done.",
        "-" * 200 + " and that was the line",
    ],
)
def test_ordinary_text_repeats_nothing(text: str) -> None:
    """Nor does a short refrain, or a line that something follows."""
    assert not repeats(text)
