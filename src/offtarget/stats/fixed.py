"""An exact test of the difference of two rates at one look, and the bounds that belong to it.

For a finished sample; looked at again as answers come in, it errs more often than it says (`eprocess.py` does not).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from offtarget.stats.eprocess import Array

NUISANCE_SHARE = 0.02
"""Share of the error probability spent on leaving out rates that the counts all but exclude: Berger and Boos (1994)."""
GRID = 49
"""Second rates at which the error probability is computed, evenly on the arcsine scale of those left in."""
NEGLIGIBLE = 20.0
"""Counts whose probability is below exp(-20) are left out of sums."""
RESOLUTION = 0.0005
"""Bounds are rounded outwards to this."""
_SAME = 1e-9
"""Scores nearer than this are one score."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of answers, and how many of them are misaligned; the latter need not be whole (weighted questions)."""

    bad: float
    answers: int

    @property
    def rate(self) -> float:
        """Misaligned share; answers > 0."""
        return self.bad / self.answers


def score(first: Array, second: Array, answers: tuple[int, int], difference: float) -> Array:
    """Score statistic of `first - second = difference` for rates of two samples; inputs broadcast.

    The difference over its standard error under the null: Miettinen and Nurminen (1985, Stat. Med. 4:213); the
    rates under the null in closed form: Farrington and Manning (1990, Stat. Med. 9:1447), appendix.
    """
    n, m = answers
    p, q = np.broadcast_arrays(first, second)
    theta = m / n
    a = 1 + theta
    b = -(1 + theta + p + theta * q + difference * (theta + 2))
    c = difference**2 + difference * (2 * p + theta + 1) + p + theta * q
    e = -p * difference * (1 + difference)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a**2) + e / (2 * a)
    u = np.sqrt(np.maximum((b / (3 * a)) ** 2 - c / (3 * a), 0.0)) * np.where(v >= 0, 1.0, -1.0)
    cube = np.where(u == 0, 1.0, u**3)
    angle = (math.pi + np.arccos(np.clip(np.where(u == 0, 0.0, v / cube), -1, 1))) / 3
    one = np.clip(2 * u * np.cos(angle) - b / (3 * a), max(0.0, difference), min(1.0, 1 + difference))
    two = one - difference
    variance = one * (1 - one) / n + two * (1 - two) / m
    gap = p - q - difference
    # without a variance under the null, any other difference than its own is beyond all doubt
    certain = np.where(np.abs(gap) < 1e-12, 0.0, np.where(gap > 0, np.inf, -np.inf))
    result: Array = np.where(variance > 1e-15, gap / np.sqrt(np.maximum(variance, 1e-15)), certain)
    return result


@lru_cache(maxsize=8192)
def exceeds(first: Sample, second: Sample, difference: float, level: float) -> bool:
    """Whether the first rate is shown to exceed the second by more than `difference`, error probability <= level.

    Exact for binomial counts: the probability of a score as large as the observed one, at the worst second rate that
    the counts do not all but exclude, is computed and not approximated. Chan and Zhang (1999, Biometrics 55:1202) with
    Berger and Boos (1994, JASA 89:1012). No answers show nothing.
    """
    if not first.answers or not second.answers or not -1 < difference < 1:
        return False
    if first.rate - second.rate <= difference:
        return False  # below the border nothing is shown, at any level that is used
    spent = level * NUISANCE_SHARE
    low, high = _plausible(first, second, difference, spent)
    if low > high:
        return True  # no pair of rates with this difference is left
    u = np.linspace(math.asin(math.sqrt(low)), math.asin(math.sqrt(high)), GRID)
    seconds = np.clip(np.sin(u) ** 2, low, high)
    return float(_tail(first, second, difference, seconds).max()) + spent <= level


def lower_bound(first: Sample, second: Sample, level: float, at: float) -> float:
    """Lower bound for first - second, error probability <= level; -1 where nothing is known.

    Dual to the test: the bound is >= `at` exactly if the test at `at` rejects.
    """
    if not first.answers or not second.answers:
        return -1.0
    estimate = first.rate - second.rate
    if exceeds(first, second, at, level):
        low, high = at, max(at, estimate)
    else:
        low, high = -1.0, min(at, estimate)
    # begin near the answer of the normal approximation, at a rejected null and one that is not
    step = RESOLUTION
    spread = math.sqrt(_variance(first) + _variance(second)) * math.sqrt(-2 * math.log(level)) * 0.8
    guess = estimate - spread
    while low < guess < high:
        if exceeds(first, second, guess, level):
            low, guess = guess, guess + step
        else:
            high, guess = guess, guess - step
        step *= 4
    while high - low > RESOLUTION:
        middle = (low + high) / 2
        low, high = (middle, high) if exceeds(first, second, middle, level) else (low, middle)
    return low


def upper_bound(first: Sample, second: Sample, level: float, at: float) -> float:
    """Upper bound for first - second: minus the lower bound for second - first; <= `at` exactly if that is shown."""
    return -lower_bound(second, first, level, -at)


def _variance(sample: Sample) -> float:
    rate = (sample.bad + 0.5) / (sample.answers + 1)
    return rate * (1 - rate) / sample.answers


def _plausible(first: Sample, second: Sample, difference: float, spent: float) -> tuple[float, float]:
    """Second rates outside which either count has probability <= spent / 2 in all: Chernoff's bound at both ends."""
    ends = []
    for sample in (first, second):
        limit = math.log(4 / spent) / sample.answers
        ends.append([_edge(sample.rate, limit, up) for up in (False, True)])
    low = max(ends[1][0], ends[0][0] - difference, 0.0, -difference)
    high = min(ends[1][1], ends[0][1] - difference, 1.0, 1.0 - difference)
    return low, high


def _edge(rate: float, limit: float, up: bool) -> float:
    """The rate farthest on one side whose Kullback-Leibler distance from the observed one is at most the limit."""
    inner, outer = rate, 1.0 if up else 0.0
    for _ in range(40):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if _distance(rate, middle) <= limit else (inner, middle)
    return outer


def _distance(rate: float, other: float) -> float:
    parts = ((rate, other), (1 - rate, 1 - other))
    return sum(p * math.log(p / q) if q > 0 else math.inf for p, q in parts if p > 0)


def _tail(first: Sample, second: Sample, difference: float, seconds: Array) -> Array:
    """Probability of a score as large as the observed one, at each second rate and the first one `difference` above."""
    n, m = first.answers, second.answers
    z = float(score(np.array(first.rate), np.array(second.rate), (n, m), difference)) - _SAME
    ys = _likely(m, float(seconds[0]), float(seconds[-1]))
    low, high = np.zeros(len(ys), dtype=int), np.full(len(ys), n + 1)
    while (high - low).max() > 0:  # the least first count whose score reaches z, for every second count
        middle = (low + high) // 2
        reached = score(np.minimum(middle, n) / n, ys / m, (n, m), difference) >= z
        low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
    firsts = np.clip(seconds + difference, 0.0, 1.0)
    xs = _likely(n, float(firsts[0]), float(firsts[-1]))
    above = np.cumsum(_binomial(xs, n, firsts)[:, ::-1], axis=1)[:, ::-1]
    above = np.concatenate([above, np.zeros((len(firsts), 1))], axis=1)
    reach = above[:, np.clip(low - xs[0], 0, len(xs))]
    total: Array = (_binomial(ys, m, seconds) * reach).sum(axis=1)
    return total


def _likely(answers: int, low: float, high: float) -> np.ndarray:
    """Counts that are not negligible for some rate from low to high."""
    limit = NEGLIGIBLE / answers
    start = math.floor(answers * _far(low, limit, up=False))
    end = math.ceil(answers * _far(high, limit, up=True))
    return np.arange(max(0, start), min(answers, end) + 1)


def _far(rate: float, limit: float, *, up: bool) -> float:
    """The observed share farthest on one side whose distance to the rate is at most the limit."""
    inner, outer = rate, 1.0 if up else 0.0
    for _ in range(30):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if _distance(middle, rate) <= limit else (inner, middle)
    return outer


@lru_cache(maxsize=512)
def _log_choices(answers: int) -> Array:
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, answers + 1)))])
    choices: Array = logs[-1] - logs - logs[::-1]
    return choices


def _binomial(counts: np.ndarray, answers: int, rates: Array) -> Array:
    """Probability of each count at each rate, shape (rates, counts)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bad = np.where(counts > 0, counts * np.log(rates)[:, None], 0.0)
        good = np.where(counts < answers, (answers - counts) * np.log1p(-rates)[:, None], 0.0)
    chances: Array = np.exp(_log_choices(answers)[counts] + bad + good)
    return chances
