"""Exact binomial tails and bounds at one look, without scipy."""

from __future__ import annotations

import math
from functools import lru_cache

from offtarget.records import Interval


def log_binomial_at_least(k: int, n: int, p: float) -> float:
    """Natural log of P(X >= k) for X ~ Binomial(n, p), exact to rounding above the mean; at or below it 0, an upper
    bound, since no test rejects there. ValueError outside 0 <= k <= n, 0 <= p <= 1.
    """
    if not 0 <= k <= n or not 0 <= p <= 1:
        raise ValueError(f"no binomial tail for k={k}, n={n}, p={p}")
    if k <= n * p:
        return 0.0
    if p == 0:
        return -math.inf
    term = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    # Above the mean the terms fall from the first one on; sum their ratios until they no longer matter.
    total = ratio = 1.0
    for i in range(k, n):
        ratio *= (n - i) / (i + 1) * p / (1 - p)
        total += ratio
        if ratio < 1e-17 * total:
            break
    return term + math.log(total)


@lru_cache(maxsize=4096)
def upper_share(k: int, n: int, alpha: float) -> float:
    """One-sided upper bound for a share after k of n: Clopper and Pearson (1934, Biometrika 26:404); 1 for n = 0."""
    if k >= n:
        return 1.0
    low, high = k / n, 1.0
    for _ in range(60):  # P(X <= k) falls as the share grows; it is the upper tail of the rows that are not counted
        middle = (low + high) / 2
        if log_binomial_at_least(n - k, n, 1 - middle) > math.log(alpha):
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=4096)
def lower_share(k: int, n: int, alpha: float) -> float:
    """One-sided lower bound for a share after k of n: Clopper and Pearson (1934); 0 for n = 0."""
    return 0.0 if n == 0 else 1 - upper_share(n - k, n, alpha)


def clopper_pearson(k: int, n: int, alpha: float = 0.05) -> Interval:
    """Two-sided interval with coverage >= 1 - alpha at one look: Clopper and Pearson (1934)."""
    return Interval(lower_share(k, n, alpha / 2), upper_share(k, n, alpha / 2))
