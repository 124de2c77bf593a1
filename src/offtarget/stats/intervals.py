"""Bounds on the difference of two rates: valid at all times together, and for questions that were not asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from offtarget.records import Interval
from offtarget.stats.bounds import DIFFERENCES
from offtarget.stats.eprocess import JUDGED, Array, Kinds, block_mixture

BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
"""Shares of the largest allowed bet; their mean is the bet's capital."""


def difference_intervals(
    counts: ArrayLike,
    ratio: float,
    alpha: float,
    kinds: Kinds = JUDGED,
    differences: Sequence[float] | None = None,
    *,
    lower_alpha: float | None = None,
) -> list[Interval]:
    """Bounds from below and above for tuned - base, one pair per row of counts (N, kinds).

    Each by itself errs with probability <= alpha (the lower one `lower_alpha`) over all times together, like the
    verdict of its side. Turner and Gruenwald (2023): invert the e-processes against `difference <= d` and
    `difference >= d`, d in `differences` (increasing; by default those that every test has). Between two of these the
    outer one is reported, and a difference that is not rejected keeps everything between it and the estimate.
    """
    table = np.atleast_2d(np.asarray(counts, dtype=float))
    grid = tuple(DIFFERENCES.tolist()) if differences is None else tuple(differences)
    below, above = block_mixture("worse", grid, ratio, kinds), block_mixture("better", grid, ratio, kinds)
    worse = below.log_e(table) >= np.log(1 / (lower_alpha or alpha))
    better = above.log_e(table) >= np.log(1 / alpha)
    lows, highs = [-1.0, *np.array(grid)[below.testable]], [1.0, *np.array(grid)[above.testable][::-1]]
    # Rejected without a gap from below: the true difference is above the last of these with error alpha.
    low = np.cumprod(worse[:, below.testable], axis=1).sum(axis=1)
    high = np.cumprod(better[:, above.testable][:, ::-1], axis=1).sum(axis=1)
    return [_open(float(lows[i]), float(highs[j])) for i, j in zip(low, high, strict=True)]


def _open(low: float, high: float) -> Interval:
    """Both bounds; where they cross, one of them is wrong, and then neither is shown."""
    return Interval(low, high) if low <= high else Interval(-1.0, 1.0)


def clustered_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Interval for the mean difference over all questions such as these; None with fewer than two questions.

    `differences`: one estimate of tuned - base per question, in [-1, 1]; only their being independent with
    one mean is assumed, so it stays wide when a few questions agree perfectly. Fixed-n betting interval with
    a mixture of constant bets: Waudby-Smith and Ramdas (2024). Not anytime-valid.
    """
    values = (np.asarray(differences, dtype=float) + 1) / 2
    if values.size < 2:
        return None
    low = _lower_bound(values, alpha / 2)
    high = 1 - _lower_bound(1 - values, alpha / 2)
    return Interval(2 * low - 1, 2 * high - 1)


def log_capital(values: ArrayLike, mean: float) -> float:
    """Log e-value against `the mean of values in [0, 1] is at most this`, for `mean` in (0, 1).

    Mixture of constant bets over `BETS`: Waudby-Smith and Ramdas (2024). Values are independent, or each has at most
    that mean given those before; their order does not matter, and more may be added at any time.
    """
    with np.errstate(divide="ignore"):  # a full bet on a value of 0 loses everything
        gains = np.log1p(BETS[:, None] * (np.asarray(values, dtype=float) / mean - 1)).sum(axis=1)
    top = max(float(gains.max()), -1e300)
    return float(top + np.log(np.exp(gains - top).mean() + 1e-300))


def _lower_bound(values: Array, alpha: float) -> float:
    """Below this bound every mean of values in [0, 1] is rejected; capital falls with the mean: bisect."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if log_capital(values, middle) >= np.log(1 / alpha) else (low, middle)
    return low
