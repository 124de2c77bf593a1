"""Evidence about a finite set drawn without replacement: exact for every size, at every look."""

from __future__ import annotations

import math

import pytest
from finite_exact import ever
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.detect.limits import fail_prior, pass_prior
from offtarget.stats.binomial import clopper_pearson, log_binomial_at_least, lower_share, upper_share
from offtarget.stats.finite import (
    Prior,
    acceptance_rows,
    highest,
    hypergeometric_at_most,
    log_e,
    log_e_above,
    log_e_below,
    log_likelihood,
    lowest,
    most_allowed,
)

LOW = Prior(((0.0, 0.3), (0.01, 0.3), (0.03, 0.3)), (((1.0, 1.0), 0.1),))
HIGH = Prior(((0.1, 0.3), (0.3, 0.3), (0.8, 0.3)), (((2.0, 5.0), 0.1),))


def sequences(n: int, k: int) -> float:
    return float(math.comb(n, k))


@pytest.mark.parametrize("rows", [1, 2, 7, 30])
@pytest.mark.parametrize("prior", [LOW, HIGH])
def test_probabilities_of_all_sequences_sum_to_one(rows: int, prior: Prior):
    """Likelihood and prior predictive are probability distributions, for every true count."""
    for n in range(rows + 1):
        assert sum(sequences(n, k) * math.exp(prior.log_marginal(n, k)) for k in range(n + 1)) == pytest.approx(1)
        for bad in range(rows + 1):
            total = sum(sequences(n, k) * math.exp(log_likelihood(rows, bad, n, k)) for k in range(n + 1))
            assert total == pytest.approx(1)


@pytest.mark.parametrize(("rows", "limit"), [(9, 0.2), (20, 0.05), (40, 0.1), (40, 0.0)])
@pytest.mark.parametrize("prior", [LOW, HIGH])
def test_no_mean_above_one_under_the_null(rows: int, limit: float, prior: Prior):
    """E[e] <= 1 at every look under every count of bad rows that the null allows: computed, not simulated."""
    allowed = most_allowed(rows, limit)
    for n in range(1, rows + 1):
        for bad in range(rows + 1):
            log_e_of = log_e_above if bad <= allowed else log_e_below
            mean = 0.0
            for k in range(max(0, n - rows + bad), min(n, bad) + 1):
                chance = sequences(n, k) * math.exp(log_likelihood(rows, bad, n, k))
                mean += chance * math.exp(log_e_of(prior, rows, n, k, limit))
            assert mean <= 1 + 1e-9


@pytest.mark.parametrize("rows", [12, 50, 300])
def test_optional_stopping_never_costs_more_than_alpha(rows: int):
    """The chance of ever being wrong, looking after every row to the last one, is at most alpha: computed exactly."""
    limit, alpha = 0.05, 0.05
    allowed = most_allowed(rows, limit)
    for bad in {0, allowed // 2, allowed}:
        wrong = ever(lambda n, k: log_e_above(HIGH, rows, n, k, limit) >= -math.log(alpha), rows, bad)
        assert wrong <= alpha
    for bad in {allowed + 1, allowed + 3, 2 * allowed + 2}:
        wrong = ever(lambda n, k: log_e_below(LOW, rows, n, k, limit) >= -math.log(alpha), rows, bad)
        assert wrong <= alpha


@pytest.mark.parametrize("rows", [60, 400])
def test_errors_with_the_priors_of_the_verdict(rows: int):
    """The same for the priors that the audit uses: one bad row too many PASSes, none too many FAILs, at most alpha."""
    for limit in (0.05, 0.01):
        allowed = most_allowed(rows, limit)
        low, high = pass_prior(limit), fail_prior(limit)
        assert (
            ever(
                lambda n, k, low=low, limit=limit: log_e_below(low, rows, n, k, limit) >= math.log(20),
                rows,
                allowed + 1,
            )
            <= 0.05
        )
        assert (
            ever(
                lambda n, k, high=high, limit=limit: log_e_above(high, rows, n, k, limit) >= math.log(20), rows, allowed
            )
            <= 0.05
        )


@given(st.integers(1, 400), st.data())
@settings(deadline=None, max_examples=60)
def test_a_full_count_is_certain(rows: int, data: st.DataObject):
    """After the last row one side is proved, and the interval is the count itself."""
    bad = data.draw(st.integers(0, rows))
    limit = data.draw(st.floats(0, 1))
    above, below = log_e_above(HIGH, rows, rows, bad, limit), log_e_below(LOW, rows, rows, bad, limit)
    assert (above == math.inf) is (bad > most_allowed(rows, limit))
    assert (below == math.inf) is (bad <= most_allowed(rows, limit))
    assert lowest(HIGH, rows, rows, bad, 0.05) == bad == highest(LOW, rows, rows, bad, 0.05)


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.2))
@settings(deadline=None, max_examples=100)
def test_interval_ends_are_where_the_evidence_stops(rows: int, part: float, share: float, alpha: float):
    """Inside the bounds no count is rejected, one step outside every count is."""
    n = round(part * rows)
    k = round(share * n)
    low, high = lowest(HIGH, rows, n, k, alpha), highest(LOW, rows, n, k, alpha)
    assert k <= low <= high + rows * (n == 0) <= rows + rows
    assert high <= rows - (n - k)
    if high < rows - (n - k):
        assert log_e(LOW, rows, n, k, high + 1, rows) >= -math.log(alpha) - 1e-6
    if low > k:
        assert log_e(HIGH, rows, n, k, 0, low - 1) >= -math.log(alpha) - 1e-6


@pytest.mark.parametrize("bad", [0, 3, 20])
def test_interval_covers_at_all_looks_together(bad: int):
    """The true count is outside at any time with probability at most alpha at each end: computed exactly."""
    rows, alpha = 80, 0.05
    assert ever(lambda n, k: highest(LOW, rows, n, k, alpha) < bad, rows, bad) <= alpha
    assert ever(lambda n, k: lowest(HIGH, rows, n, k, alpha) > bad, rows, bad) <= alpha


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(10**7, [59, 93, 124, 153, 208]), (6000, [58, 93, 123, 151, 205]), (500, [54, 84, 110, 135, 180])],
)
def test_acceptance_numbers(rows: int, expected: list[int]):
    """Fixed plans for `at most 5 %` need the rows published for hypergeometric sampling."""
    assert [acceptance_rows(rows, 0.05, 0.05, bad) for bad in (0, 1, 2, 3, 5)] == expected


@pytest.mark.parametrize(("alpha", "floor"), [(0.05, 59), (0.025, 72), (0.0125, 86), (0.1, 45), (0.01, 90)])
def test_floor_per_error(alpha: float, floor: int):
    """The fewest clean rows that can show 5 % at each error probability."""
    assert acceptance_rows(10**7, 0.05, alpha) == floor


def test_hypergeometric_tail_is_that_of_counting():
    """P(at most 1 bad among 3 of 6 rows, 2 of them bad) = (4 + 12) / 20."""
    assert hypergeometric_at_most(1, 6, 2, 3) == pytest.approx(0.8)


def test_large_sets_do_not_lose_precision():
    """Ten million rows give the evidence of independent draws to five digits."""
    exact = 72 * math.log(1 / 0.95)
    prior = Prior(((0.0, 1.0),))
    assert log_e_below(prior, 10**7, 72, 0, 0.05) == pytest.approx(exact, rel=1e-4)


def test_weights_must_sum_to_one():
    """A prior that is none would break the guarantee; it is refused."""
    with pytest.raises(ValueError, match="sum to 1"):
        Prior(((0.1, 0.5),))


@given(st.integers(1, 300), st.data())
@settings(deadline=None, max_examples=60)
def test_binomial_tail_is_the_sum_of_its_terms(n: int, data: st.DataObject):
    """Above the mean the tail equals direct summation; below it 1 is an upper bound."""
    k = data.draw(st.integers(0, n))
    p = data.draw(st.floats(0.001, 0.999))
    direct = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    found = math.exp(log_binomial_at_least(k, n, p))
    assert found == pytest.approx(direct, rel=1e-6, abs=1e-200) if k > n * p else found >= direct - 1e-9


def test_clopper_pearson_known_values():
    """All of 14 found: at least 76.8 % (two-sided 95 %); none of 59: at most 4.95 % (one-sided 95 %)."""
    assert clopper_pearson(14, 14).low == pytest.approx(0.025 ** (1 / 14))
    assert clopper_pearson(14, 14).high == 1.0
    assert upper_share(0, 59, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert lower_share(0, 0, 0.05) == 0.0
    assert upper_share(0, 0, 0.05) == 1.0
