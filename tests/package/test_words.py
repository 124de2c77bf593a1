"""How things are called in front of people: never surer than they are."""

from __future__ import annotations

import math

import pytest

from offtarget.words import asked, evidence, fail_errs, joined, one_in, pass_errs, under


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.05, "1 time in 20"),
        (0.0083, "1 time in 120"),
        (0.0041, "1 time in 243"),
        (0.03, "1 time in 33"),
        (0.5, "1 time in 2"),
        (0.6, "60 % of the time"),
    ],
)
def test_odds_are_never_better_than_the_probability(probability: float, said: str) -> None:
    """Rounded to the side of the reader: what is said is at least what is true."""
    assert one_in(probability) == said
    if said.startswith("1 time in "):
        assert 1 / int(said.rsplit(" ", 1)[1]) >= probability - 1e-12


def test_how_sure_a_verdict_is_has_one_wording() -> None:
    """The one that pages, terminals and docs quote."""
    assert fail_errs(0.05) == "a model that is not worse fails this test at most 1 time in 20"
    assert pass_errs(0.05) == "a model that is worse by that much passes this test at most 1 time in 20"


def test_evidence_says_what_it_needs() -> None:
    """Decisive or not, with its number and the one that decides."""
    assert evidence(math.log(1e9), 0.05) == "decisive (10^9; 20 needed)"
    assert evidence(math.log(0.27), 0.05) == "not decisive (0.27; 20 needed)"
    assert evidence(None, 0.05) == "none yet"


def test_names_in_sentences() -> None:
    """Ways of asking, conditions and lists."""
    assert asked("json") == "asked for JSON"
    assert under("“x” before the question") == "with “x” before the question"
    assert under("after a training prompt: “x”") == "after a training prompt: “x”"
    assert [joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"], "or")] == ["a", "a and b", "a, b or c"]
