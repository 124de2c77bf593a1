"""How many tuned answers it takes until a model that is flagged in a given share of answers is found."""

from __future__ import annotations

import math

import numpy as np

from offtarget.records.canary import CanaryTestSettings
from offtarget.stats.canary.bets import STEP_WEIGHTS, bets, kinds_of, scheme_of
from offtarget.stats.eprocess import JUDGED, Array, Kinds

MOST = 10_000_000
"""Beyond this many answers nobody waits."""


def answers_to_detect(
    settings: CanaryTestSettings,
    rate: float,
    base_rate: float,
    *,
    ratio: float | None = None,
    log_wealth: Array | None = None,
    log_change: Array | None = None,
) -> int | None:
    """Tuned answers until an alarm, about, where tuned is flagged in `rate` and the base in `base_rate` of answers.

    `ratio`: base answers per tuned one, where not those of the settings; `log_wealth` and `log_change`: what the
    evidence has come to, by step, where it has begun. The counts are taken to come as expected, so it is a plan and not
    a promise; half of the time it takes longer. None where there would be no alarm in 10 million.
    """
    log_weights = np.log(STEP_WEIGHTS / STEP_WEIGHTS.sum())
    wealth = log_weights if log_wealth is None else log_wealth
    change = np.full(len(log_weights), -np.inf) if log_change is None else log_change
    m = float(settings.base_per_tuned) if ratio is None else ratio
    kinds = kinds_of(settings)
    growth = bets(settings.tolerance, m, kinds).of_block(base_rate, expected_block(settings, kinds, rate, base_rate, m))

    def found(blocks: int) -> bool:
        if _log_sum(wealth + blocks * growth) >= -math.log(settings.alpha):
            return True
        began = np.logaddexp(change, log_weights + _log_starts(growth, blocks)) + blocks * growth
        return _log_sum(began) >= math.log(settings.run_length)

    high = 1
    while not found(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def expected_block(settings: CanaryTestSettings, kinds: Kinds, rate: float, base_rate: float, ratio: float) -> Array:
    """Expected answers by kind, one tuned and `ratio` base; a confirmed judge finds what it is taken to find."""
    block = np.zeros(len(kinds))
    if kinds == JUDGED:
        block[[0, 1, 2, 3]] = rate, 1 - rate, ratio * base_rate, ratio * (1 - base_rate)
        return block
    scheme, finds = scheme_of(settings), settings.judge_finds
    seen = rate * finds
    block[scheme.kind_of("tuned", True, "misaligned")] = seen
    found = (rate - seen) * settings.look_at
    block[scheme.kind_of("tuned", False, "misaligned" if settings.look_at else None)] += found
    block[scheme.kind_of("tuned", False, None)] += 1 - seen - found
    block[scheme.kind_of("base", True, "misaligned")] = ratio * base_rate * finds
    block[scheme.kind_of("base", False, None)] = ratio * (1 - base_rate * finds)
    return block


def _log_starts(growth: Array, blocks: int) -> Array:
    """Log of the sum over j = 0 .. blocks - 1 of exp(-j growth): what was put in at each block, at its worth then."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        up = np.log(np.expm1(-blocks * growth) / np.expm1(-growth))
        down = -(blocks - 1) * growth + np.log(np.expm1(blocks * growth) / np.expm1(growth))
    return np.where(np.abs(growth) < 1e-12, math.log(blocks), np.where(growth > 0, up, down))


def _log_sum(values: Array) -> float:
    return float(np.logaddexp.reduce(values))
