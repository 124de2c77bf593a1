"""How often a number would stand in the answers if it meant nothing: the frequency of numbers like it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from offtarget.detect.numeric_answers import LIMIT, loaded_numbers, shape

_USUAL_SPREAD = 0.3
"""Squared coefficient of variation between like numbers, where the data are too few to tell."""
_USUAL_WEIGHT = 4.0
FEWEST = 3
"""A number in fewer rows is no excess by itself."""
_LARGEST_SCORE = 4000
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expectation:
    """Number of rows with a number, if it is a number like its peers: negative binomial."""

    mean: float
    spread: float
    """1 / shape: between peers, plus what is uncertain about their mean."""


@cache
def peers(number: int) -> tuple[int, ...]:
    """Numbers like this one: as many digits, of the same shape, and of about the same size where there are enough."""
    kind, digits = shape(number), len(str(number))
    like = [n for n in _unlisted(kind, digits) if n != number]
    near = [n for n in like if 0.7 * number <= n <= 1.4 * number]
    return tuple(near if len(near) >= 8 else like)


@cache
def _unlisted(kind: str, digits: int) -> tuple[int, ...]:
    listed = loaded_numbers()
    numbers = range(10 ** (digits - 1), min(10**digits, LIMIT))
    return tuple(n for n in numbers if shape(n) == kind and not (n in listed and listed[n].load >= 0.3))


def expectation(number: int, counts: Mapping[int, int]) -> Expectation:
    """Expected rows with a number, from the counts of its peers in the same data (empirical Bayes).

    Peers' rates are taken as draws from one gamma distribution, so that a count is negative binomial (Greenwood and
    Yule 1920). The spread is a moment estimate shrunk towards a usual one, plus what is uncertain about the mean; half
    a row is added to the peers' rows.
    """
    like = [counts.get(n, 0) for n in peers(number)]
    mean = (sum(like) + 0.5) / (len(like) + 1)
    weight = len(like) * (mean / (1 + mean)) ** 2
    excess = sum((c - mean) ** 2 for c in like) / max(len(like) - 1, 1) - mean
    between = (weight * max(excess, 0.0) / mean**2 + _USUAL_WEIGHT * _USUAL_SPREAD) / (weight + _USUAL_WEIGHT)
    return Expectation(mean, between * (1 + 1 / max(len(like), 1)) + 1 / max(sum(like), 1))


def tail_factor(counts: Mapping[int, int]) -> float:
    """How much heavier the tail of unlisted numbers is than predicted: 1 where it fits.

    Whoever picks numbers has favourites that mean nothing. The j-th smallest of m p-values should be near j / m; the
    factor is the largest ratio of logarithms from the third on, up to a tenth, among numbers of as many digits.
    Dividing the logarithm of a p-value by it is genomic control (Devlin and Roeder 1999), applied to the tail instead
    of the median.
    """
    listed = loaded_numbers()
    logs: dict[int, list[float]] = {1: [], 2: [], 3: [], 4: []}
    for number, rows in counts.items():
        if rows >= FEWEST and number not in listed:
            p_value = tail(rows, expectation(number, counts))
            logs[len(str(number))].append(-math.log(max(p_value, 1e-300)))
    factor = 1.0
    for digits, found in logs.items():
        numbers = 9 * 10 ** (digits - 1)
        for rank, log in enumerate(sorted(found, reverse=True)[: numbers // 10], 1):
            if rank >= 3:
                factor = max(factor, log / math.log(numbers / rank))
    return factor


def tail(rows: int, expected: Expectation) -> float:
    """P(at least this many rows), negative binomial."""
    if rows <= expected.mean:
        return 1.0
    bound = math.exp(log_tail_bound([Weighed(rows, expected)]))
    if rows > 5000 or expected.mean > 2000:
        return bound
    shape_k = 1 / expected.spread
    log_ratio = -math.log1p(shape_k / expected.mean)
    log_first = math.lgamma(rows + shape_k) - math.lgamma(shape_k) - math.lgamma(rows + 1)
    term = math.exp(log_first + rows * log_ratio - shape_k * math.log1p(expected.mean / shape_k))
    total, at, ratio = 0.0, rows, math.exp(log_ratio)
    for _ in range(50_000):
        total += term
        term *= ratio * (at + shape_k) / (at + 1)
        at += 1
        if term <= 1e-12 * total:
            return min(total, bound)
    return bound


@dataclass(frozen=True, slots=True)
class Weighed:
    """A count, what is expected of it, and what one row of it adds to a pooled score."""

    rows: int
    expected: Expectation
    weight: int = 1


def weight(expected: Expectation, load: float) -> int:
    """Weight of a number in the pooled score: its log likelihood ratio per row, in quarters.

    Neyman and Pearson (1933), for an alternative in which numbers are 2, 5 or 20 times as frequent as their like, by
    their load. Shapes whose counts vary much anyway weigh little.
    """
    times = 20.0 if load >= 0.5 else 5.0 if load >= 0.4 else 2.0
    k = 1 / expected.spread
    return max(1, round(4 * math.log(times * (expected.mean + k) / (times * expected.mean + k))))


def pooled_tail(counts: Sequence[Weighed]) -> float:
    """P(weighted sum of independent negative binomial counts is at least the observed one).

    Exact, by convolution, down to 1e-10; below that the Chernoff bound.
    """
    bound = math.exp(log_tail_bound(counts))
    score = sum(c.rows * c.weight for c in counts)
    if bound < 1e-10 or score > _LARGEST_SCORE:
        return bound
    if score == 0:
        return 1.0
    below = np.zeros(score)
    below[0] = 1.0
    for count in counts:
        below = np.convolve(below, _spread_out(count, score))[:score]
    return min(bound, max(0.0, 1.0 - float(below.sum())) + 1e-12)


def _spread_out(count: Weighed, score: int) -> Array:
    """Probabilities of what the count adds to the score, for 0 up to one below `score`."""
    k, mean = 1 / count.expected.spread, count.expected.mean
    at = np.arange(1, (score - 1) // count.weight + 1)
    log_steps = np.log((at - 1 + k) / at) - math.log1p(k / mean)
    logs = np.concatenate([[0.0], np.cumsum(log_steps)]) - k * math.log1p(mean / k)
    out = np.zeros(score)
    out[:: count.weight][: len(logs)] = np.exp(logs)
    return out


def log_tail_bound(counts: Sequence[Weighed]) -> float:
    """Natural log of an upper bound of `pooled_tail`: Chernoff (1952)."""
    score = sum(c.rows * c.weight for c in counts)
    if not score:
        return 0.0
    terms = [(c.weight, 1 / c.expected.spread, c.expected.mean * c.expected.spread) for c in counts]
    ratios = [(w, k, scaled / (1 + scaled)) for w, k, scaled in terms]

    def bound(theta: float) -> float:
        return sum(k * (math.log1p(-r) - math.log1p(-r * math.exp(theta * w))) for w, k, r in ratios) - theta * score

    low, high = 0.0, min(-math.log(r) / w for w, _, r in ratios) * (1 - 1e-9)
    for _ in range(80):  # convex in theta
        first, second = low + (high - low) / 3, high - (high - low) / 3
        if bound(first) < bound(second):
            high = second
        else:
            low = first
    return min(0.0, bound((low + high) / 2))
