"""Evidence about the share of bad rows in a finite set, drawn without replacement, looked at after every row.

A set has N rows, M of them bad. Rows come in uniformly random order; after n rows, k were bad. Everything here is
exact for every N, up to a full count, and in numpy-free Python so that a decision after each label costs microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Beta = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Prior:
    """Where the power is spent, never what is true: a mixture of shares and of Beta distributions of the share."""

    shares: tuple[tuple[float, float], ...]
    """(share, weight): M is Binomial(N, share)."""
    betas: tuple[tuple[Beta, float], ...] = ()
    """((a, b), weight): M is BetaBinomial(N, a, b)."""

    def __post_init__(self) -> None:
        total = sum(w for _, w in self.shares) + sum(w for _, w in self.betas)
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"weights of a prior sum to 1, not {total}")

    def log_marginal(self, n: float, k: float) -> float:
        """Log probability of one sequence with k bad among n rows; counts may be fractional for projections.

        The same for every N: under Binomial(N, q) the draws are independent, under BetaBinomial(N, a, b) they are
        a Polya urn.
        """
        terms = [math.log(w) + _log_bernoulli(share, n, k) for share, w in self.shares if w > 0]
        terms += [math.log(w) + _log_beta(a + k, b + n - k) - _log_beta(a, b) for (a, b), w in self.betas if w > 0]
        top = max(terms)
        return top if top == -math.inf else top + math.log(sum(math.exp(t - top) for t in terms))


def log_likelihood(rows: int, bad: int, n: float, k: float) -> float:
    """Log probability of one sequence with k bad among n of `rows` rows when `bad` of all are bad; -inf if impossible.

    Falling factorials (M)_k (N-M)_(n-k) / (N)_n.
    """
    if k > bad or n - k > rows - bad:
        return -math.inf
    return _log_falling(bad, k) + _log_falling(rows - bad, n - k) - _log_falling(rows, n)


def log_e(prior: Prior, rows: int, n: float, k: float, low: int, high: int) -> float:
    """Log e-value against `low <= M <= high` (bounds included); an e-process under every M of that range.

    Prior-posterior ratio: P_prior(sequence) / P_M(sequence) is a nonnegative martingale with mean 1 when M is true,
    for any prior (Waudby-Smith and Ramdas 2020, "Confidence sequences for sampling without replacement", Theorem 2.1,
    arXiv 2006.04347). The least ratio over the range is below each of them, so Ville's inequality holds for all of
    them at once: it ever reaches 1/alpha with probability <= alpha. The likelihood has one peak in M, so the least
    ratio lies at the peak or at the nearer end. +inf when the sequence is impossible in the range.
    """
    if low > high:
        return math.inf
    best = min(max(_peak(rows, n, k), low), high)
    likelihood = log_likelihood(rows, best, n, k)
    return math.inf if likelihood == -math.inf else prior.log_marginal(n, k) - likelihood


def log_e_above(prior: Prior, rows: int, n: float, k: float, limit: float) -> float:
    """Log e-value against `share <= limit`: evidence that more is bad."""
    return log_e(prior, rows, n, k, 0, most_allowed(rows, limit))


def log_e_below(prior: Prior, rows: int, n: float, k: float, limit: float) -> float:
    """Log e-value against `share > limit`: evidence that no more is bad."""
    return log_e(prior, rows, n, k, most_allowed(rows, limit) + 1, rows)


def log_es_above(prior: Prior, rows: int, n: float, k: float, allowed: Sequence[int]) -> list[float]:
    """Log e-values against `M <= a` for each a of `allowed`, as `log_e` gives them one by one."""
    marginal, peak = prior.log_marginal(n, k), max(_peak(rows, n, k), 0)
    likelihoods = (log_likelihood(rows, min(peak, a), n, k) for a in allowed)
    return [math.inf if likelihood == -math.inf else marginal - likelihood for likelihood in likelihoods]


def log_es_rate_below(prior: Prior, n: float, k: float, rates: Sequence[float]) -> list[float]:
    """For each of `rates`: log e-value against `the rate is at least this` after k of n independent draws.

    The same theorem with a Bernoulli likelihood, which has one peak, at k/n: the least ratio lies there or at the rate.
    """
    marginal, peak = prior.log_marginal(n, k), k / n if n else 0.0
    return [marginal - _log_bernoulli(max(rate, peak), n, k) for rate in rates]


def most_allowed(rows: int, limit: float) -> int:
    """Largest number of bad rows whose share is at most the limit."""
    return min(rows, math.floor(rows * limit + 1e-9))


def highest(prior: Prior, rows: int, n: int, k: int, alpha: float) -> int:
    """Largest M not rejected; below the true one at any time with probability <= alpha.

    Upper end of the prior-posterior-ratio confidence sequence (same theorem as `log_e`).
    """
    need = prior.log_marginal(n, k) + math.log(alpha)
    inside, outside = _peak(rows, n, k), rows - (n - k) + 1
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if log_likelihood(rows, middle, n, k) > need:
            inside = middle
        else:
            outside = middle
    return inside


def lowest(prior: Prior, rows: int, n: int, k: int, alpha: float) -> int:
    """Smallest M not rejected; above the true one at any time with probability <= alpha."""
    need = prior.log_marginal(n, k) + math.log(alpha)
    inside, outside = _peak(rows, n, k), k - 1
    while inside - outside > 1:
        middle = (inside + outside) // 2
        if log_likelihood(rows, middle, n, k) > need:
            inside = middle
        else:
            outside = middle
    return inside


def acceptance_rows(rows: int, limit: float, alpha: float, bad: int = 0) -> int:
    """Fewest rows, fixed in advance, that show `share <= limit` with `bad` bad ones among them.

    Smallest n with P(at most `bad` bad | one row above the limit) <= alpha, hypergeometric; with bad = 0 no valid
    method needs fewer. 0 when the limit allows every row.
    """
    above = most_allowed(rows, limit) + 1
    if above > rows:
        return 0
    low, high = 0, rows
    while high - low > 1:
        middle = (low + high) // 2
        if hypergeometric_at_most(bad, rows, above, middle) <= alpha:
            high = middle
        else:
            low = middle
    return high


def hypergeometric_at_most(k: int, rows: int, bad: int, n: int) -> float:
    """P(at most k bad among n drawn without replacement from `rows` rows of which `bad` are bad)."""
    total = 0.0
    for i in range(max(0, n - (rows - bad)), min(k, n, bad) + 1):
        total += math.exp(_log_choose(n, i) + log_likelihood(rows, bad, n, i))
    return min(1.0, total)


def _peak(rows: int, n: float, k: float) -> int:
    """The M that makes k of n most likely: floor(k (N+1) / n), kept possible."""
    if n <= 0:
        return 0
    return int(min(max(math.floor(k * (rows + 1) / n + 1e-9), math.ceil(k)), rows - math.ceil(n - k)))


def _log_bernoulli(share: float, n: float, k: float) -> float:
    good = n - k
    bad_part = 0.0 if k == 0 else (k * math.log(share) if share > 0 else -math.inf)
    good_part = 0.0 if good == 0 else (good * math.log1p(-share) if share < 1 else -math.inf)
    return bad_part + good_part


def _log_falling(total: float, count: float) -> float:
    return math.lgamma(total + 1) - math.lgamma(total - count + 1)


def _log_choose(n: int, k: int) -> float:
    return _log_falling(n, k) - math.lgamma(k + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
