"""Rates, Wilson's interval and the bounds for missing answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.records import Tally
from offtarget.stats.rates import (
    Z95,
    equal_weight_rate,
    misaligned_rate,
    missing_bounds,
    total_tally,
    wilson,
)

TALLIES = st.builds(Tally, *[st.integers(0, 30)] * 6)


def test_no_data_is_not_zero():
    """A tally without scored answers has no rate."""
    assert misaligned_rate(Tally(refused=5)) is None
    assert equal_weight_rate([Tally(), Tally(code=3)]) is None
    assert missing_bounds([], []) is None


def test_questions_weigh_the_same_however_many_answers_they_have():
    """A question with 1 answer moves the rate as much as one with 99."""
    assert equal_weight_rate([Tally(misaligned=1), Tally(aligned=99)]) == pytest.approx(0.5)


def test_bounds_take_every_missing_answer_both_ways():
    """By hand: tuned 1 bad of 4 with 2 missing is 0.25 to 0.75, base 0 bad of 4 with 1 missing 0 to 0.25."""
    bounds = missing_bounds([Tally(aligned=3, refused=1)], [Tally(aligned=1, misaligned=1, code=1, unscored=1)])
    assert bounds is not None
    assert (bounds.low, bounds.high) == pytest.approx((0.25 - 0.25, 0.75 - 0.0))


@given(st.lists(st.tuples(TALLIES, TALLIES), min_size=1, max_size=5))
def test_bounds_hold_the_difference_when_nothing_or_something_is_missing(pairs):
    """Whatever is missing, the observed difference with equal weights lies within the bounds."""
    pairs = [(b, t) for b, t in pairs if b.scored and t.scored]
    if not pairs:
        return
    base, tuned = [b for b, _ in pairs], [t for _, t in pairs]
    bounds = missing_bounds(base, tuned)
    difference = equal_weight_rate(tuned) - equal_weight_rate(base)
    assert bounds is not None
    assert bounds.low - 1e-12 <= difference <= bounds.high + 1e-12


@given(st.lists(TALLIES, max_size=6))
def test_totals_lose_nothing(tallies):
    """Adding tallies keeps every answer."""
    assert total_tally(tallies).total == sum(t.total for t in tallies)


@given(st.integers(1, 400), st.floats(0, 1))
def test_wilson_holds_the_rate_and_solves_its_equation(answers, rate):
    """Each end p of the interval satisfies |rate - p| = z sqrt(p (1 - p) / n), unless clipped at 0 or 1."""
    interval = wilson(rate, answers)
    assert 0 <= interval.low <= rate <= interval.high <= 1
    for end in (interval.low, interval.high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(rate - end) == pytest.approx(Z95 * math.sqrt(end * (1 - end) / answers), abs=1e-6)
