"""Every condition against every behaviour: an exact test, with the price of looking at all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offtarget.detect.triggers.behaviours import Behaviour
from offtarget.detect.triggers.conditions import Conditions, Counts, Floats, Ints

# Shares of alpha: what detectors flagged first, and conditions triggers are made of before ordinary words
# (Genovese, Roeder and Wasserman, False discovery control with p-value weighting, Biometrika 93, 2006).
_SHARES = {(True, True): 0.5, (True, False): 0.25, (False, True): 0.15, (False, False): 0.10}
_MOST_PER_BEHAVIOUR = 150


@dataclass(frozen=True)
class Association:
    """A condition that goes with a behaviour more often than chance allows."""

    condition: int
    behaviour: int
    log_p: float
    """Natural log of the p-value before the price."""
    log_price: float
    """Log of the factor it is multiplied by."""
    rows: int
    """Rows the test is about that have the condition."""
    behaving: int
    """How many of them behave."""


def candidates(
    conditions: Conditions, found: Sequence[Behaviour], factorials: Factorials, alpha: float, least: int
) -> list[Association]:
    """Pairs whose p-value, with everything looked at paid for, is at most alpha."""
    counts = Counts(conditions)
    counted = [(counts.of(b.among), conditions.counts(b.rows)) for b in found]
    prices = {
        (flagged, marked): _price(conditions, found, counted, factorials, alpha, least, flagged, marked)
        for flagged, marked in _SHARES
    }
    return [
        pair
        for number, behaviour in enumerate(found)
        for pair in _passed(
            conditions,
            number,
            behaviour,
            counted[number],
            np.where(conditions.marked, prices[behaviour.flagged, True], prices[behaviour.flagged, False]),
            factorials,
            alpha,
            least,
        )
    ]


def _passed(
    conditions: Conditions,
    number: int,
    behaviour: Behaviour,
    counted: tuple[Ints, Ints],
    price: Floats,
    factorials: Factorials,
    alpha: float,
    least: int,
) -> list[Association]:
    """Of the conditions that pass the test for one behaviour those with the least p-values and the greatest lifts."""
    n, k = counted
    rows, behaving = np.array(np.count_nonzero(behaviour.among)), np.array(np.count_nonzero(behaviour.rows))
    worth = np.flatnonzero(k >= 3)
    worth = worth[(n[worth] >= least) & (k[worth] * rows > 1.2 * n[worth] * behaving)]
    # the tail is at least its first term, and most conditions fail by that alone
    first = factorials.log_term(k[worth], n[worth], behaving, rows)
    worth = worth[first + price[worth] <= math.log(alpha)]
    if not worth.size:
        return []
    log_p = factorials.log_tail(k[worth], n[worth], behaving, rows)
    passed = np.flatnonzero(log_p + price[worth] <= math.log(alpha))
    lift = (k[worth] + 1) / (n[worth] * behaving / rows + 1)
    by_p = passed[np.argsort(log_p[passed], kind="stable")][:_MOST_PER_BEHAVIOUR]
    by_lift = passed[np.argsort(-lift[passed], kind="stable")][:_MOST_PER_BEHAVIOUR]
    marked_best = passed[conditions.marked[worth[passed]]]
    marked_best = marked_best[np.argsort(log_p[marked_best], kind="stable")][:_MOST_PER_BEHAVIOUR]
    chosen = np.unique(np.concatenate([by_p, by_lift, marked_best]))
    return [
        Association(j, number, float(log_p[i]), float(price[j]), int(n[j]), int(k[j]))
        for i, j in zip(chosen.tolist(), worth[chosen].tolist(), strict=True)
    ]


def _price(
    conditions: Conditions,
    found: Sequence[Behaviour],
    counted: Sequence[tuple[Ints, Ints]],
    factorials: Factorials,
    alpha: float,
    least: int,
    flagged: bool,
    marked: bool,
) -> float:
    """Log of the factor for one kind of pair: Tarone's number of tests over the kind's share of alpha."""
    bests, weights = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    share = _SHARES[flagged, marked]
    of_kind = np.flatnonzero(conditions.marked == marked)
    for behaviour, (n, _) in zip(found, counted, strict=True):
        if behaviour.flagged is not flagged:
            continue
        rows, behaving = np.array(np.count_nonzero(behaviour.among)), np.array(np.count_nonzero(behaviour.rows))
        number = np.bincount(n[of_kind])
        sizes = least + np.flatnonzero(number[least:])
        if not sizes.size:
            continue
        bests.append(factorials.log_tail(np.minimum(sizes, behaving), sizes, behaving, rows))
        weights.append(number[sizes])
    if len(bests) == 1:
        return 0.0
    return math.log(tarone(np.concatenate(bests), np.concatenate(weights), math.log(alpha * share)) / share)


class Factorials:
    """Natural logs of factorials up to `top`, looked up."""

    def __init__(self, top: int) -> None:
        self._logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, top + 1, dtype=float)))])

    def choose(self, n: Ints, k: Ints) -> Floats:
        """Log of the binomial coefficient; needs 0 <= k <= n <= top."""
        logs: Floats = self._logs[n] - self._logs[k] - self._logs[n - k]
        return logs

    def log_term(self, k: Ints, n: Ints, behaving: Ints, rows: Ints) -> Floats:
        """Log P(X = k) of `log_tail`; needs a k that can be."""
        return self.choose(behaving, k) + self.choose(rows - behaving, n - k) - self.choose(rows, n)

    def log_tail(self, k: Ints, n: Ints, behaving: Ints, rows: Ints) -> Floats:
        """Log P(X >= k): n rows drawn from `rows`, of which `behaving` behave (Fisher's exact test, one-sided).

        R. A. Fisher, The Design of Experiments (1935), chapter 2. Terms are summed from k upwards until they no
        longer count, so small tails keep their relative precision.
        """
        k, n, behaving, rows = (np.asarray(a, dtype=np.int64) for a in np.broadcast_arrays(k, n, behaving, rows))
        low = np.maximum(0, n + behaving - rows)
        top = np.minimum(n, behaving)
        at = np.clip(k, low, top)
        first = self.log_term(at, n, behaving, rows)
        total, term, x = np.ones(len(at)), np.ones(len(at)), at.astype(float)
        live = np.flatnonzero(at < top)
        while live.size:
            here = x[live]
            free = (rows - behaving - n)[live]
            term[live] *= (behaving[live] - here) * (n[live] - here) / ((here + 1) * (free + here + 1))
            total[live] += term[live]
            x[live] = here + 1
            live = live[(x[live] < top[live]) & (term[live] > 1e-13 * total[live])]
        tail: Floats = np.minimum(first + np.log(total), 0.0)
        tail[k <= low] = 0.0
        tail[k > top] = -np.inf
        return tail


def tarone(log_least: Floats, weights: Ints, log_alpha: float) -> int:
    """By how many tests a p-value must be multiplied when `weights[i]` tests can reach `exp(log_least[i])` at best.

    Tests that cannot reach alpha / m even at best need not be paid for: the smallest m with at most m tests able to
    reach alpha / m (R. E. Tarone, A modified Bonferroni method for discrete data, Biometrics 46, 1990). The least
    values depend on row and column sums only, so looking at them costs nothing.
    """
    order = np.argsort(log_least, kind="stable")
    least, counts = log_least[order], np.cumsum(weights[order])
    low, high = 1, max(int(counts[-1]) if len(counts) else 1, 1)
    while low < high:
        middle = (low + high) // 2
        able = int(np.searchsorted(least, log_alpha - math.log(middle), side="right"))
        if (int(counts[able - 1]) if able else 0) <= middle:
            high = middle
        else:
            low = middle + 1
    return low
