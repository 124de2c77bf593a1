"""How many more answers it would take, if the rates stayed as observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from offtarget.stats.decision import combined_log_e
from offtarget.stats.eprocess import Array, BlockMixture

FEWEST_BLOCKS = 5
"""Below this many blocks in an undecided arm its rates are too rough to project."""
MOST_ANSWERS = 1_000_000


def answers_to_go(
    by_arm: Array,
    by_domain: Array,
    arms_passed: Sequence[bool],
    worse: BlockMixture,
    better: BlockMixture,
    *,
    fail_threshold: float,
    pass_threshold: float,
) -> int | None:
    """Tuned answers until PASS or FAIL, whichever comes first at the observed rates; None beyond a million.

    `by_arm`: (A, 4) counts; `by_domain`: (A, D, 4). Counts are projected in proportion to those observed. An
    estimate for planning, without error probability.
    """
    blocks = by_arm[:, :2].sum(axis=1)
    going = ~np.array(arms_passed)
    if (blocks[going] < FEWEST_BLOCKS).any():
        return None

    def failing(each: int) -> float:
        grown = np.where(going, 1 + each / np.maximum(blocks, 1), 1.0)
        arms = by_arm * grown[:, None]
        domains = (by_domain * grown[:, None, None]).sum(axis=0)
        evidence = worse.log_e(np.vstack([arms.sum(axis=0), arms, domains]))[:, 0]
        count = len(arms)
        return combined_log_e(float(evidence[0]), list(evidence[1 : 1 + count]), list(evidence[1 + count :]))

    def passing(arm: int) -> Callable[[int], float]:
        return lambda each: float(better.log_e(by_arm[arm] * (1 + each / blocks[arm]))[0])

    estimates = []
    fail = _first(failing, fail_threshold)
    if fail is not None:
        estimates.append(fail * int(going.sum()))
    passes = [_first(passing(int(arm)), pass_threshold) for arm in np.flatnonzero(going)]
    if all(n is not None for n in passes):
        estimates.append(sum(n for n in passes if n is not None))
    return min(estimates, default=None)


def _first(evidence: Callable[[int], float], threshold: float) -> int | None:
    """Least number of answers at which the projected evidence reaches the threshold."""
    high = 1
    while evidence(high) < threshold:
        high *= 2
        if high > MOST_ANSWERS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if evidence(middle) >= threshold else (middle, high)
    return high
