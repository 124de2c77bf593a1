"""Rates, exact intervals and the bounds for missing answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.records import Tally
from offtarget.stats.rates import (
    equal_weight_rate,
    misaligned_rate,
    missing_bounds,
    rate_interval,
    total_tally,
)

TALLIES = st.builds(Tally, *[st.integers(0, 30)] * 6)


def test_no_data_is_not_zero():
    """A tally without scored answers has no rate and no interval."""
    assert misaligned_rate(Tally(refused=5)) is None
    assert equal_weight_rate([Tally(), Tally(code=3)]) is None
    assert rate_interval(0, 0, 0.05) is None
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


@pytest.mark.parametrize(
    ("misaligned", "scored", "low", "high"),
    [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (1, 100, 0.00025, 0.05446)],
)
def test_interval_matches_published_clopper_pearson_values(misaligned, scored, low, high):
    """The exact binomial interval reproduces tabulated 95 % limits."""
    interval = rate_interval(misaligned, scored, 0.05)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-5)
