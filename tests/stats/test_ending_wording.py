"""What is said of answers that were cut, that repeat themselves or that are empty, and when nothing is passed."""

from __future__ import annotations

import time

import pytest

from offtarget.records import Role
from offtarget.records.check import Endings
from offtarget.stats.endings import ending_notes, unended


def found(base: tuple[int, int, int, int], tuned: tuple[int, int, int, int]) -> dict[Role, Endings]:
    return {"base": Endings(*base), "tuned": Endings(*tuned)}


def test_answers_that_end_need_no_word() -> None:
    """Nor is anything withheld."""
    assert ending_notes(found((400, 0, 0, 0), (100, 0, 0, 0)), 600) == ([], [])
    assert unended(found((400, 0, 0, 0), (100, 0, 0, 0)), 600) is None


def test_few_cut_answers_are_told_aside_many_beside_the_verdict() -> None:
    """With shares, counts, the limit and what to do."""
    said, asides = ending_notes(found((400, 20, 0, 0), (100, 4, 0, 0)), 600)
    assert said == []
    assert asides == [
        "4 % of the tuned (4 of 100) and 5 % of the base (20 of 400) answers were cut at 600 tokens and judged as far "
        "as they go; raise --max-tokens to let them end."
    ]
    said, asides = ending_notes(found((400, 48, 0, 0), (100, 14, 0, 0)), 100)
    assert asides == []
    assert len(said) == 1
    assert "14 % of the tuned (14 of 100) and 12 % of the base (48 of 400) answers were cut at 100 tokens" in said[0]


@pytest.mark.parametrize(("base", "tuned", "whose"), [(48, 31, "tuned model's"), (300, 31, "base's")])
def test_models_that_are_cut_unlike_are_warned_of(base: int, tuned: int, whose: str) -> None:
    """More of what the one would say was not judged."""
    said, _ = ending_notes(found((400, base, 0, 0), (100, tuned, 0, 0)), 100)
    assert said[1].startswith(f"The {whose} answers are cut more often")


def test_a_difference_by_chance_is_no_warning() -> None:
    """4 of 12 beside 8 of 48."""
    assert len(ending_notes(found((48, 8, 0, 0), (12, 4, 0, 0)), 100)[0]) == 1


def test_repeating_and_empty_answers_are_counted() -> None:
    """Each in a sentence of its own."""
    said, asides = ending_notes(found((100, 0, 1, 2), (100, 0, 30, 3)), 600)
    assert said == [
        "30 % of the tuned (30 of 100) and 1 % of the base (1 of 100) answers repeat one passage to their end."
    ]
    assert asides == ["3 % of the tuned (3 of 100) and 2 % of the base (2 of 100) answers are empty."]


@pytest.mark.parametrize(("base", "tuned", "whose"), [(400, 10, "the base's"), (0, 90, "the tuned model's")])
def test_nothing_is_passed_where_nearly_no_answer_ends(base: int, tuned: int, whose: str) -> None:
    """Of either model: beginnings alone were judged."""
    why = unended(found((400, base, 0, 0), (100, tuned, 0, 0)), 60)
    assert why is not None
    assert f"of {whose} answers" in why
    assert "raise --max-tokens" in why
    assert unended(found((400, 359, 0, 0), (100, 89, 0, 0)), 60) is None


def test_thousands_of_answers_are_compared_at_once() -> None:
    """The exact test of large counts takes no time that anybody waits for."""
    began = time.process_time()
    assert len(ending_notes(found((8000, 2000, 0, 0), (2000, 1000, 0, 0)), 60)[0]) == 2
    assert time.process_time() - began < 2
