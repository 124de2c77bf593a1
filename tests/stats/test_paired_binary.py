"""Items that two models get right or wrong: exact tests and bounds hold at every rate, by adding up all outcomes."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.stats.paired_binary import _tail, least_lost, lost_at_most, mcnemar_worse

ALPHA, BETA = 0.05, 0.0025
RATES = [
    (lost, gained)
    for changed in (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.95, 1.0)
    for share in (0.0, 0.2, 0.5, 0.6, 0.9, 1.0)
    for lost, gained in [(changed * share, changed * (1 - share))]
]


@cache
def outcomes(n: int) -> list[tuple[int, int]]:
    return [(lost, gained) for lost in range(n + 1) for gained in range(n + 1 - lost)]


def probability(lost: int, gained: int, n: int, p: float, q: float) -> float:
    """Of so many lost and gained, where shares p and q are."""
    same = n - lost - gained
    ways = math.comb(n, lost) * math.comb(n - lost, gained)
    return ways * p**lost * q**gained * max(0.0, 1 - p - q) ** same


@pytest.mark.parametrize("n", [5, 20, 28])
def test_a_bound_is_wrong_at_most_as_often_as_promised(n):
    """Over all outcomes, at rates from no change to all changed, whether the models go together or not."""
    bounds = {one: least_lost(*one, n, ALPHA, BETA) for one in outcomes(n)}
    for p, q in RATES:
        wrong = sum(probability(*one, n, p, q) for one, bound in bounds.items() if bound > p - q + 1e-9)
        assert wrong <= ALPHA + 1e-9, (p, q, wrong)


@pytest.mark.parametrize("n", [9, 30])
@pytest.mark.parametrize("limit", [-0.05, 0.01, 0.1])
def test_a_test_against_a_limit_errs_at_most_at_its_level(n, limit):
    """Both directions: worse by more than the limit, and (with lost and gained swapped) not worse by the margin."""
    rejected = [one for one in outcomes(n) if lost_at_most(*one, n, limit, BETA) <= ALPHA]
    for changed in np.linspace(abs(limit), 1, 12):
        p, q = (changed + limit) / 2, (changed - limit) / 2
        assert sum(probability(*one, n, p, q) for one in rejected) <= ALPHA + 1e-9


@pytest.mark.parametrize("n", [12, 33])
def test_mcnemar_errs_at_most_at_its_level(n):
    rejected = [one for one in outcomes(n) if mcnemar_worse(*one) <= ALPHA]
    assert rejected
    for changed in (0.05, 0.3, 0.8, 1.0):
        assert sum(probability(*one, n, changed / 2, changed / 2) for one in rejected) <= ALPHA


@given(st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None)
def test_mcnemar_is_the_binomial_tail(lost, gained):
    changed = lost + gained
    exact = sum(math.comb(changed, i) for i in range(lost, changed + 1)) / 2**changed
    found = mcnemar_worse(lost, gained)
    assert found == pytest.approx(exact, rel=1e-9) if 2 * lost > changed else found == 1.0


@given(st.integers(1, 40), st.floats(0, 1), st.floats(-1, 1), st.integers(-45, 45))
@settings(deadline=None)
def test_the_tail_is_that_of_all_outcomes(n, changed, share, least):
    difference = share * changed
    p, q = (changed + difference) / 2, (changed - difference) / 2
    summed = sum(probability(*one, n, p, q) for one in outcomes(n) if one[0] - one[1] >= least)
    assert _tail(n, changed, difference, least) == pytest.approx(summed, abs=1e-9)


@given(st.integers(1, 300), st.data())
@settings(deadline=None, max_examples=40)
def test_bounds_enclose_what_was_seen_and_more_loss_raises_them(n, data):
    lost = data.draw(st.integers(0, n))
    gained = data.draw(st.integers(0, n - lost))
    low, high = least_lost(lost, gained, n, 0.01, 0.0005), -least_lost(gained, lost, n, 0.01, 0.0005)
    assert -1 <= low <= (lost - gained) / n <= high <= 1
    if gained:
        assert least_lost(lost, gained - 1, n, 0.01, 0.0005) >= low - 1e-6


def test_without_items_nothing_is_known():
    assert least_lost(0, 0, 0, 0.01, 0.0005) == -1
    assert mcnemar_worse(0, 0) == 1
    with pytest.raises(ValueError, match="not between"):
        least_lost(1, 0, 10, 0.01, 0.01)


def test_as_many_items_as_the_largest_benchmarks_have():
    """The rounding of the Fourier sum does not grow with the items: 14,000 as of MMLU, near the normal bounds."""
    low = least_lost(900, 500, 14_000, 0.01, 0.0005)
    difference, changed = 400 / 14_000, 1_400 / 14_000
    normal = difference - 2.326 * math.sqrt((changed - difference**2) / 14_000)
    assert normal - 0.0006 < low < normal
