"""Exact tests and bounds at one look for items that two models get right or wrong, without scipy.

Of n items, `lost` are right for the base alone and `gained` for the tuned model alone. They are multinomial: among all
items such as these a share is lost, a share gained, and what the tuned model lost on the whole is their difference.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from offtarget.stats.binomial import log_binomial_at_least, upper_share
from offtarget.stats.eprocess import Array

STEPS = 24
"""Halvings in the search for a bound: finer than any number that is shown."""
BEYOND_HALF = 9
"""Shares of changed items that are tried where more than half of the items may have changed."""
ROUNDING = 1e-11
"""Added to tails from Fourier sums, whose rounding is smaller."""


def mcnemar_worse(lost: int, gained: int) -> float:
    """P against `no more is lost than gained`: exact one-sided McNemar test; 1 where nothing changed.

    Given how many items changed, each is lost with probability at most 1/2 (McNemar 1947, Psychometrika 12:153; exact
    as in Fay 2010, Biostatistics 11:373).
    """
    return math.exp(log_binomial_at_least(lost, lost + gained, 0.5)) if lost + gained else 1.0


def lost_at_most(lost: int, gained: int, n: int, limit: float, beta: float) -> float:
    """P against `the tuned model lost at most this share`, for a limit in (-1, 1); at least `beta`.

    The statistic is S = lost - gained. Its distribution hangs besides on the share of items that change, which is
    bounded first, with error `beta`, and then taken as bad as it may be: Berger and Boos (1994, JASA 89:1012). The tail
    of S is exact. Up to one half it grows with the share of items that change, wherever S is 2 or more above its mean:
    its derivative is n/2 (P(S' = s - 1) - P(S' = s)) for S' of n - 1 items, and S' + n - 1 is a sum of independent 0s
    and 1s, with one peak within 1 of its mean (Darroch 1964, Ann. Math. Stat. 35:1317). Beyond one half the largest of
    `BEYOND_HALF` tails is taken.
    """
    most = upper_share(lost + gained, n, beta)
    if most < -limit:  # so few changes cannot have gained so much
        return beta
    if lost - gained < n * limit + 3:
        return 1.0
    shares = [most] if most <= 0.5 else list(np.linspace(max(0.5, abs(limit)), most, BEYOND_HALF))
    tails = (_tail(n, share, min(limit, share), lost - gained) for share in shares)
    return min(1.0, max(tails) + beta + ROUNDING)


def least_lost(lost: int, gained: int, n: int, alpha: float, beta: float) -> float:
    """Lower bound on the share that the tuned model lost, in [-1, 1]: wrong with probability <= alpha.

    All limits below it are rejected by `lost_at_most`. -1 without items. ValueError unless 0 < beta < alpha.
    """
    if not 0 < beta < alpha:
        raise ValueError(f"beta {beta} is not between 0 and alpha {alpha}")
    low, high = -1.0, max(-1.0, (lost - gained) / n) if n else -1.0
    for _ in range(STEPS if n else 0):
        middle = (low + high) / 2
        rejected = lost_at_most(lost, gained, n, middle, beta) <= alpha
        low, high = (middle, high) if rejected else (low, middle)
    return low


def _tail(n: int, changed: float, difference: float, least: int) -> float:
    """P(S >= least) for the sum of n values 1, -1 and 0 with P(1) + P(-1) = changed and P(1) - P(-1) = difference."""
    size, cosines, sines = _circle(n)
    transformed = ((1 - changed) + changed * cosines + 1j * difference * sines) ** n
    # Position i holds P(S = i), and P(S = i - size) from the half on.
    masses = np.fft.irfft(np.conj(transformed), size)
    return min(1.0, max(0.0, _from(masses, n, least)))


def _from(masses: Array, n: int, least: int) -> float:
    above = float(masses[max(least, 0) : n + 1].sum())
    return above + (float(masses[len(masses) + least :].sum()) if least < 0 else 0.0)


@lru_cache(maxsize=8)
def _circle(n: int) -> tuple[int, Array, Array]:
    """A power of 2 above 2n, and cosine and sine at that many places around the circle, half of them."""
    size = 1 << (2 * n).bit_length()
    angles = 2 * np.pi * np.arange(size // 2 + 1) / size
    return size, np.cos(angles), np.sin(angles)
