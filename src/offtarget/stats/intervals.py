"""Intervals for the difference of two rates: valid at all times together, and for questions that were not asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from offtarget.records import Interval
from offtarget.stats.eprocess import JUDGED, Array, Kinds, block_mixture

# Fine where verdicts are made, coarse where nobody needs a digit.
DIFFERENCES = np.unique(
    np.round(
        np.concatenate(
            [np.arange(-0.1, 0.1001, 0.0025), np.arange(-0.5, 0.501, 0.01), np.arange(-0.975, 0.976, 0.025)]
        ),
        6,
    )
)
"""Nulls that are tested; ends of the interval are among them, rounded outwards."""

BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
"""Shares of the largest allowed bet; their mean is the bet's capital."""


def difference_intervals(counts: ArrayLike, ratio: float, alpha: float, kinds: Kinds = JUDGED) -> list[Interval]:
    """Intervals for tuned - base, one per row of counts (N, kinds); error <= alpha over all times together.

    Each end errs with probability <= alpha / 2. Turner and Gruenwald (2023): invert the
    e-processes against `difference <= d` and `difference >= d`. Between two grid points the outer one is
    reported, and a difference that is not rejected keeps everything between it and the estimate, so the set
    is an interval.
    """
    table = np.atleast_2d(np.asarray(counts, dtype=float))
    bound = np.log(2.0 / alpha)
    worse = block_mixture("worse", DIFFERENCES, ratio, kinds).log_e(table) >= bound
    better = block_mixture("better", DIFFERENCES, ratio, kinds).log_e(table) >= bound
    ends = np.concatenate([[-1.0], DIFFERENCES, [1.0]])
    # Rejected without a gap from below: the true difference is above the last of these with error alpha / 2.
    lows = np.cumprod(worse, axis=1).sum(axis=1)
    highs = np.cumprod(better[:, ::-1], axis=1).sum(axis=1)
    return [Interval(float(ends[i]), float(ends[-1 - j])) for i, j in zip(lows, highs, strict=True)]


def average_interval(parts: ArrayLike, ratio: float, alpha: float, kinds: Kinds = JUDGED) -> Interval:
    """Interval for the mean difference of parts (P, kinds), equal weights; each at alpha / P (union bound)."""
    table = np.atleast_2d(np.asarray(parts, dtype=float))
    intervals = difference_intervals(table, ratio, alpha / len(table), kinds)
    low = sum(i.low for i in intervals) / len(intervals)
    return Interval(low, sum(i.high for i in intervals) / len(intervals))


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


def _lower_bound(values: Array, alpha: float) -> float:
    """Below this bound every mean of values in [0, 1] is rejected; capital falls with the mean: bisect."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        with np.errstate(divide="ignore"):  # a full bet on a value of 0 loses everything
            gains = np.log1p(BETS[:, None] * (values / middle - 1)).sum(axis=1)
        top = max(float(gains.max()), -1e300)
        capital = top + np.log(np.exp(gains - top).mean() + 1e-300)
        low, high = (middle, high) if capital >= np.log(1 / alpha) else (low, middle)
    return low
