"""Help for tests that simulate: streams of blocks, and a test of a simulated error rate."""

from __future__ import annotations

import math

import numpy as np


def exceeds(errors: int, runs: int, bound: float) -> bool:
    """Whether an error rate above `bound` is shown: exact binomial test, P(>= errors | bound) < 1e-4."""
    tail = sum(
        math.exp(
            math.lgamma(runs + 1)
            - math.lgamma(i + 1)
            - math.lgamma(runs - i + 1)
            + i * math.log(bound)
            + (runs - i) * math.log1p(-bound)
        )
        for i in range(errors, runs + 1)
    )
    return tail < 1e-4


def streams(
    rng: np.random.Generator, tuned: np.ndarray, base: np.ndarray, runs: int, blocks: int, ratio: int = 4
) -> np.ndarray:
    """Counts after every block, (runs, blocks, 4), from questions with the given rates drawn uniformly."""
    questions = len(tuned)
    t = rng.random((runs, blocks)) < tuned[rng.integers(questions, size=(runs, blocks))]
    shape = (runs, blocks, ratio)
    b = (rng.random(shape) < base[rng.integers(questions, size=shape)]).sum(axis=2)
    n = np.arange(1, blocks + 1)
    t1, b1 = t.cumsum(axis=1), b.cumsum(axis=1)
    return np.stack([t1, n - t1, b1, ratio * n - b1], axis=-1)
