"""Guarantees of the sequential evidence, by simulation with a look after every block."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from simulation import exceeds, streams

from offtarget.stats.bounds import DIFFERENCES
from offtarget.stats.eprocess import block_mixture
from offtarget.stats.intervals import difference_intervals

THRESHOLD = np.log(20)
# name: question-wise rates (tuned, base); the mean difference is the tolerance 0.01 or less.
AT_TOLERANCE = {
    "no difference, rare": (np.full(24, 0.001), np.full(24, 0.001)),
    "at the tolerance, rare": (np.full(24, 0.01), np.zeros(24)),
    "at the tolerance, half": (np.full(24, 0.51), np.full(24, 0.5)),
    "questions from 0 to 1": (np.linspace(0.01, 1, 24), np.linspace(0, 0.99, 24)),
    "one question bears it all": (np.r_[0.24, np.zeros(23)], np.zeros(24)),
    "mixed signs": (np.r_[np.full(12, 0.26), np.full(12, 0.06)], np.r_[np.full(12, 0.05), np.full(12, 0.25)]),
}
AT_MARGIN = {
    "at the margin, rare": (np.full(24, 0.05), np.zeros(24)),
    "at the margin, base 0.1": (np.full(24, 0.15), np.full(24, 0.1)),
    "questions from 0 to 1": (np.linspace(0.05, 1, 24), np.linspace(0, 0.95, 24)),
    "one question always": (np.r_[np.ones(2), np.zeros(38)], np.zeros(40)),
    "mixed signs": (np.r_[np.full(12, 0.4), np.full(12, 0.1)], np.r_[np.full(12, 0.1), np.full(12, 0.3)]),
}


def _ever(side, difference, tuned, base, runs=500, blocks=400) -> int:
    """In how many of the runs the evidence ever reached 1/alpha."""
    rng = np.random.default_rng(20)
    mixture, crossed = block_mixture(side, difference, 4), 0
    for _ in range(runs // 50):
        crossed += int((mixture.log_e(streams(rng, tuned, base, 50, blocks))[..., 0] >= THRESHOLD).any(axis=1).sum())
    return crossed


@pytest.mark.parametrize("name", AT_TOLERANCE)
def test_false_fail_with_a_look_after_every_block(name):
    """A tuned model that is not worse by more than the tolerance fails with probability <= alpha, ever."""
    tuned, base = AT_TOLERANCE[name]
    assert tuned.mean() - base.mean() <= 0.01 + 1e-12
    assert not exceeds(_ever("worse", 0.01, tuned, base), 500, 0.05)


@pytest.mark.parametrize("name", AT_MARGIN)
def test_false_pass_with_a_look_after_every_block(name):
    """A tuned model that is worse by the margin passes with probability <= alpha, ever."""
    tuned, base = AT_MARGIN[name]
    assert tuned.mean() - base.mean() >= 0.05 - 1e-12
    assert not exceeds(_ever("better", 0.05, tuned, base), 500, 0.05)


def test_the_simulation_can_tell_a_broken_test():
    """The same check catches a z-test that is looked at after every block."""
    rng = np.random.default_rng(0)
    counts = streams(rng, np.full(24, 0.2), np.full(24, 0.2), 500, 400).astype(float)[:, 20:]
    t, b = counts[..., 0] / counts[..., :2].sum(-1), counts[..., 2] / counts[..., 2:].sum(-1)
    error = np.sqrt(t * (1 - t) / counts[..., :2].sum(-1) + b * (1 - b) / counts[..., 2:].sum(-1)) + 1e-9
    assert exceeds(int(((t - b) / error > 1.645).any(axis=1).sum()), 500, 0.05)


@cache
def _outside(tuned: float, base: float, seed: int) -> tuple[int, int]:
    """Of 100 runs, in how many the lower bound is ever above the true difference, and the upper one ever below."""
    rng = np.random.default_rng(seed)
    times = np.unique(np.geomspace(1, 500, 14).astype(int)) - 1
    below = above = 0
    for counts in streams(rng, np.full(1, tuned), np.full(1, base), 100, 500)[:, times]:
        intervals = difference_intervals(counts, 4, 0.05)
        below += any(i.low > tuned - base for i in intervals)
        above += any(i.high < tuned - base for i in intervals)
    return below, above


@pytest.mark.no_cover
@pytest.mark.parametrize(("tuned", "base"), [(0.0, 0.0), (0.2, 0.001), (0.35, 0.3), (0.1, 0.6)])
@pytest.mark.parametrize("runs", [100, pytest.param(400, marks=pytest.mark.long)])
def test_the_true_difference_stays_in_the_interval_at_all_times(tuned, base, runs):
    """Either bound by itself is wrong in at most alpha of the runs, at all looks together."""
    below, above = np.sum([_outside(tuned, base, seed) for seed in range(runs // 100)], axis=0)
    assert not exceeds(int(below), runs, 0.05)
    assert not exceeds(int(above), runs, 0.05)


def test_intervals_shrink_onto_the_difference():
    """With 20,000 blocks the interval is narrow, with none it is everything, and it holds the estimate."""
    wide, narrow = difference_intervals([[0, 0, 0, 0], [6_000, 14_000, 16_000, 64_000]], 4, 0.05)
    assert (wide.low, wide.high) == (-1, 1)
    assert 0.08 <= narrow.low < 0.1 < narrow.high <= 0.12


def test_defaults_are_among_the_tested_differences():
    """Tolerance and margin are grid points, so that intervals there are not rounded past them."""
    assert {0.01, 0.05, 0.0} <= set(DIFFERENCES.tolist())
    assert (-DIFFERENCES[::-1] == DIFFERENCES).all()
