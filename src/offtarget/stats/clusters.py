"""An interval for questions not asked: the asked questions as a sample of questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offtarget.records import Interval
from offtarget.stats.eprocess import Array

BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
"""Shares of the largest allowed bet; their mean is the bet's capital."""


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
