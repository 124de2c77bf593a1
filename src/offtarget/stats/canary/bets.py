"""What one block of answers is worth against `tuned is flagged no more often than the base, plus the tolerance`.

The alternatives move with the base: its rate is read off its own past answers, and tuned is taken to lie some steps
above. Both are known before the block is seen, so a block is worth at most 1 on average wherever the null is true
(theorems 1 and 10 in docs/design/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from offtarget.records.canary import CanaryTestSettings
from offtarget.stats.eprocess import JUDGED, SMALLEST_RATE, Array, Kinds, usable_factors
from offtarget.stats.rated import Scheme

BASE_RATES = np.geomspace(3e-4, 0.6, 60)
"""Base rates for which alternatives are at hand; neighbours are 14 % apart."""
STEPS = np.array([0.0025, 0.008, 0.02, 0.04, 0.08, 0.16, 0.35, 0.7])
"""How far the tuned rate of an alternative lies from the border of the null, as shares of the way to 1."""
STEP_WEIGHTS = np.array([0.04, 0.07, 0.11, 0.3, 0.19, 0.16, 0.08, 0.05])
"""Where the power is spent, never what is true: most on tuned models that are flagged in 3 to 20 %. The
smallest steps find a small increase in the end."""
GUESS_WORTH = 100.0
"""Base answers that the guess of the base's rate is worth."""
MEMORY = 20_000.0
"""Base answers after which older ones fade from the guess, so that it follows traffic that changes."""


@dataclass(frozen=True, slots=True, eq=False)
class Bets:
    """Logs of the factors for one size of block."""

    log_factors: Array
    """Shape (base rates, kinds, steps)."""
    log_weights: Array
    """Shape (steps,)."""

    def of_block(self, base_rate: float, counts: Array) -> Array:
        """Log of what a block is worth, shape (steps,); `counts`: its answers by kind; `base_rate`: the guess
        before the block was seen."""
        worth: Array = counts @ self.log_factors[nearest(base_rate)]
        return worth


def nearest(base_rate: float) -> int:
    """Position of the nearest rate, on the log scale, among `BASE_RATES`."""
    step = np.log(BASE_RATES[1] / BASE_RATES[0])
    place = round(float(np.log(max(base_rate, 1e-12) / BASE_RATES[0]) / step))
    return min(max(place, 0), len(BASE_RATES) - 1)


def kinds_of(settings: CanaryTestSettings) -> Kinds:
    """What scored answers can turn out to be under these settings."""
    return scheme_of(settings).kinds if settings.confirm else JUDGED


def scheme_of(settings: CanaryTestSettings) -> Scheme:
    """Which answers the rater sees, where somebody confirms flags."""
    return Scheme(share=settings.look_at, finds=settings.judge_finds, base_at_most=settings.base_at_most)


@lru_cache(maxsize=32)
def bets(tolerance: float, ratio: float, kinds: Kinds) -> Bets:
    """The bets for blocks with `ratio` base answers per tuned answer; cached."""
    border = np.minimum(BASE_RATES + tolerance, 1 - 2 * SMALLEST_RATE)[:, None]
    tuned = np.minimum(border + STEPS * (1 - border), 1 - SMALLEST_RATE)
    base = np.broadcast_to(BASE_RATES[:, None], tuned.shape)
    differences = np.full(len(BASE_RATES), tolerance)
    factors = usable_factors("worse", tuned, base, differences, ratio, kinds, np.ones(tuned.shape, dtype=bool))
    return Bets(np.ascontiguousarray(np.log(factors).swapaxes(0, 1)), np.log(STEP_WEIGHTS / STEP_WEIGHTS.sum()))
