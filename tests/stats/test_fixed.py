"""The exact test of two rates at one look."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.stats.eprocess import reverse_information_projection
from offtarget.stats.fixed import Sample, exceeds, lower_bound, score, upper_bound


@given(
    st.integers(1, 300), st.integers(1, 300), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(-0.9, 0.9)
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_closed_form_of_the_score_agrees_with_the_projection(n, m, p, q, difference):
    """The rates under the null are those nearest to the observed ones; one is found by formula, one by bisection."""
    p, q = round(p * n) / n, round(q * m) / m
    one, two = reverse_information_projection(p, q, difference, m / n)
    variance = one * (1 - one) / n + two * (1 - two) / m
    expected = (p - q - difference) / np.sqrt(variance)
    assert float(score(np.array(p), np.array(q), (n, m), difference)) == pytest.approx(
        float(expected), abs=2e-5, rel=1e-4
    )


@pytest.mark.parametrize(("n", "m", "difference"), [(14, 11, 0.01), (12, 20, 0.05), (9, 9, -0.05), (10, 3, 0.3)])
def test_the_error_probability_is_at_most_alpha_at_every_rate(n, m, difference):
    """By enumeration of all counts, at 101 base rates, for a usual and a small alpha: nothing is simulated."""
    for level in (0.05, 0.004):
        claims = np.array(
            [[exceeds(Sample(x, n), Sample(y, m), difference, level) for y in range(m + 1)] for x in range(n + 1)]
        )
        for base in np.linspace(max(0.0, -difference), min(1.0, 1 - difference), 101):
            tuned = base + difference
            chance_x = [math.comb(n, x) * tuned**x * (1 - tuned) ** (n - x) for x in range(n + 1)]
            chance_y = [math.comb(m, y) * base**y * (1 - base) ** (m - y) for y in range(m + 1)]
            assert np.array(chance_x) @ claims @ np.array(chance_y) <= level + 1e-9


def test_more_misaligned_answers_never_show_less():
    """Barnard's condition, on which the worst case at the border rests."""
    n, m = 25, 40
    claims = np.array([[exceeds(Sample(x, n), Sample(y, m), 0.05, 0.05) for y in range(0, m, 4)] for x in range(n + 1)])
    assert (np.diff(claims.astype(int), axis=0) >= 0).all()
    assert (np.diff(claims.astype(int), axis=1) <= 0).all()


def test_clean_answers_need_the_numbers_of_the_binomial_tail():
    """0 of n against 0 of many shows less than 5 % from the n on at which .95^n is below alpha, almost."""
    many = Sample(0, 5000)
    assert 0.95**59 < 0.05 < 0.95**58
    assert not exceeds(many, Sample(0, 58), -0.05, 0.05)
    assert exceeds(many, Sample(0, 60), -0.05, 0.05)


@pytest.mark.parametrize("at", [0.01, 0.05, 0.2, -0.1])
@pytest.mark.parametrize(("bad", "n", "base_bad", "m"), [(10, 140, 8, 1931), (0, 60, 0, 60), (5.4, 30, 0.7, 25)])
def test_bounds_are_those_of_the_test(bad, n, base_bad, m, at):
    """The bound lies at or above a null exactly if that null is rejected, wherever one asks."""
    tuned, base = Sample(bad, n), Sample(base_bad, m)
    assert (lower_bound(tuned, base, 0.05, at) >= at) == exceeds(tuned, base, at, 0.05)
    assert (upper_bound(tuned, base, 0.05, at) <= at) == exceeds(base, tuned, -at, 0.05)
    assert lower_bound(tuned, base, 0.05, at) <= bad / n - base_bad / m <= upper_bound(tuned, base, 0.05, at)


def test_no_answers_show_nothing():
    """Neither side of a difference is known without answers of both."""
    assert not exceeds(Sample(0, 0), Sample(0, 10), -0.5, 0.05)
    assert (
        lower_bound(Sample(0, 0), Sample(0, 9), 0.05, 0.01),
        upper_bound(Sample(0, 9), Sample(0, 0), 0.05, 0.05),
    ) == (-1, 1)
