"""The upper tail of the hypergeometric distribution and the price of looking at many conditions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Factorials:
    """Natural logs of factorials up to `top`, looked up."""

    def __init__(self, top: int) -> None:
        self._logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, top + 1, dtype=float)))])

    def choose(self, n: Ints, k: Ints) -> Floats:
        """Log of the binomial coefficient; needs 0 <= k <= n <= top."""
        logs: Floats = self._logs[n] - self._logs[k] - self._logs[n - k]
        return logs

    def log_tail(self, k: Ints, n: Ints, behaving: Ints, rows: Ints) -> Floats:
        """Log P(X >= k): n rows drawn from `rows`, of which `behaving` behave (Fisher's exact test, one-sided).

        R. A. Fisher, The Design of Experiments (1935), chapter 2. Terms are summed from k upwards until they no
        longer count, so small tails keep their relative precision.
        """
        k, n, behaving, rows = (np.asarray(a, dtype=np.int64) for a in np.broadcast_arrays(k, n, behaving, rows))
        low = np.maximum(0, n + behaving - rows)
        top = np.minimum(n, behaving)
        at = np.clip(k, low, top)
        first = self.choose(behaving, at) + self.choose(rows - behaving, n - at) - self.choose(rows, n)
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
