"""The split of alpha between the plain arms and the cued arm, and closed testing with weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records import DecisionSettings, Status, Tally
from offtarget.stats import SequentialTest, decide_tables
from offtarget.stats.closed import closed_log_e


def fed(share: float, outcomes: list[bool]) -> SequentialTest:
    """One arm, one question, the given tuned answers, clean base answers."""
    test = SequentialTest({"plain": ["q"]}, {"q": "d"}, {"q": "q"}, DecisionSettings(cued_share=share))
    for bad in outcomes:
        test.add_block("plain", ("q", bad), [("q", False)] * 4)
    return test


def test_fail_pays_the_share_and_pass_does_not():
    """The plain FAIL needs evidence of 1/(alpha (1 - share)); PASS comes at the same answer as ever."""
    first: dict[float, int] = {}
    for share in (0.0, 0.9):
        first[share] = next(n for n in range(1, 20) if fed(share, [True] * n).status() is Status.FAIL)
        assert fed(share, [True] * first[share]).look().log_e_fail >= math.log(20 / (1 - share))
        assert fed(share, [True] * (first[share] - 1)).look().log_e_fail < math.log(20 / (1 - share))
    assert first[0.9] > first[0.0]
    passes = []
    for share in (0.0, 0.9):
        test = fed(share, [])
        while test.status() is Status.UNDECIDED:
            test.add_block("plain", ("q", False), [("q", False)] * 4)
        passes.append(test.look().tuned_answers)
    assert passes[0] == passes[1] < 300


def test_tables_pay_the_share_too():
    """The same finished tables FAIL with all of alpha and not with a hundredth of it."""
    base, tuned = {"q": Tally(aligned=40)}, {"q": Tally(aligned=7, misaligned=3)}
    verdicts = [
        decide_tables(base, tuned, {"plain": ["q"]}, {"q": "d"}, {"q": "q"}, DecisionSettings(cued_share=share)).status
        for share in (0.0, 0.99)
    ]
    assert verdicts == [Status.FAIL, Status.UNDECIDED]


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_out_of_range_is_refused(share):
    """Nothing, or more than all, of alpha cannot be left to the plain arms."""
    with pytest.raises(InputError, match="shares of alpha for conditions"):
        fed(share, [])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-4, 8), st.floats(0.01, 1)), min_size=1, max_size=6))
def test_weighted_closure_is_the_least_mean_over_all_sets(pairs):
    """The adjusted value equals brute force over every set that contains the e-value."""
    values, weights = (np.array(column) for column in zip(*pairs, strict=True))
    adjusted = closed_log_e(values, weights)
    for i in range(len(values)):
        others = [j for j in range(len(values)) if j != i]
        means = [
            np.average(np.exp(values[[i, *extra]]), weights=weights[[i, *extra]])
            for size in range(len(values))
            for extra in itertools.combinations(others, size)
        ]
        assert adjusted[i] == pytest.approx(math.log(min(means)))
