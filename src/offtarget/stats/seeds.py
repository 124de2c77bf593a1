"""A rate over several trained models: how far would it be off with other seeds?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from offtarget.records import Interval, Tally
from offtarget.records.reproduce import Spread, SpreadMethod
from offtarget.stats.rates import wilson

BOOTSTRAP_FROM = 6
"""Seeds from which the published interval, a bootstrap over seeds, is used. With fewer it is far too narrow: with 3 it
reaches from the lowest seed to the highest, and those lie on one side of the mean in one case of four."""
RESAMPLES = 10_000
_T975 = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764}
"""97.5 % quantiles of Student's t by degrees of freedom."""


def over_seeds(rates: Sequence[float], tally: Tally) -> Spread:
    """The mean rate of models trained with different seeds, with a 95 % interval.

    `rates`: one per seed that has a scored answer, 0 to 1; `tally`: their answers together. Six seeds or more:
    percentile bootstrap over seeds, as published (arXiv 2502.17424, section 3). Two to five: Student's t over seeds,
    cut at 0 and 1. Either is widened where it is narrower than the score interval (Wilson) of the pooled answers: seeds
    that all show 0 do not prove 0. One seed: that score interval alone, which says nothing about other seeds.
    """
    if not rates:
        return Spread(None, None, None, (), tally)
    mean = math.fsum(rates) / len(rates)
    pooled = wilson(min(1.0, max(0.0, mean)), tally.scored)
    if len(rates) == 1:
        return Spread(mean, pooled, "wilson", tuple(rates), tally)
    around, method = _around(rates)
    low, high = max(0.0, around.low), min(1.0, around.high)
    return Spread(mean, Interval(min(low, pooled.low), max(high, pooled.high)), method, tuple(rates), tally)


def seed_difference(one: Spread, other: Spread) -> Interval | None:
    """95 % interval of how much the first rate is above the second; None without a rate on both sides.

    Seeds are paired, since seed i drew the same data and the same first weights on both sides; the second may be a
    single model (the base), which then is taken as it is. With one seed: the sum of both score intervals' reaches.
    """
    if one.rate is None or other.rate is None or one.interval is None or other.interval is None:
        return None
    if len(one.by_seed) > 1 and len(other.by_seed) in (1, len(one.by_seed)):
        others = other.by_seed if len(other.by_seed) > 1 else other.by_seed * len(one.by_seed)
        return _around([a - b for a, b in zip(one.by_seed, others, strict=True)])[0]
    return Interval(one.interval.low - other.interval.high, one.interval.high - other.interval.low)


def _around(values: Sequence[float]) -> tuple[Interval, SpreadMethod]:
    """The mean of two values or more with its interval over seeds."""
    if len(values) >= BOOTSTRAP_FROM:
        return Interval(*bootstrap(values)), "bootstrap"
    mean = math.fsum(values) / len(values)
    half = _T975[len(values) - 1] * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean - half, mean + half), "t"


def bootstrap(values: Sequence[float], resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the mean: Efron (1979). The same values give the same interval."""
    drawn = np.random.default_rng(seed).choice(np.asarray(values, dtype=float), (resamples, len(values)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
