"""Intervals over seeds: whether they cover, and what few seeds cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from offtarget.records import Tally
from offtarget.stats.rates import wilson
from offtarget.stats.seeds import bootstrap, over_seeds, seed_difference


def pooled(rates: list[float], answers: int = 1000) -> Tally:
    bad = round(sum(rates) / len(rates) * answers)
    return Tally(aligned=answers - bad, misaligned=bad)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_few_seeds_cover_the_mean_of_all_seeds(seeds: int) -> None:
    """Student's t holds 95 % where rates differ between seeds, and the bootstrap would not."""
    rng = np.random.default_rng(seeds)
    trials, covered, by_bootstrap = 500, 0, 0
    for _ in range(trials):
        rates = rng.normal(0.5, 0.08, seeds).clip(0, 1).tolist()
        interval = over_seeds(rates, pooled(rates, 100_000)).interval
        assert interval is not None
        covered += interval.low <= 0.5 <= interval.high
        low, high = bootstrap(rates, 300)
        by_bootstrap += low <= 0.5 <= high
    assert covered / trials >= 0.93
    assert by_bootstrap / trials < 0.88


def test_ten_seeds_use_the_published_bootstrap() -> None:
    """The published experiment has six to ten seeds; there its method is used as it is."""
    rates = [0.1, 0.2, 0.3, 0.15, 0.25, 0.2, 0.1, 0.3, 0.2, 0.2]
    spread = over_seeds(rates, pooled(rates, 100_000))
    assert spread.method == "bootstrap"
    assert spread.interval is not None
    assert (spread.interval.low, spread.interval.high) == bootstrap(rates)


def test_seeds_that_all_show_nothing_do_not_prove_nothing() -> None:
    """Equal seeds have no spread, yet the answers behind them are few: the interval is that of the answers."""
    spread = over_seeds([0.0, 0.0, 0.0], Tally(aligned=60))
    assert spread.rate == 0.0
    assert spread.interval == wilson(0.0, 60)


def test_one_seed_has_the_interval_of_its_answers() -> None:
    spread = over_seeds([0.25], Tally(aligned=75, misaligned=25))
    assert (spread.method, spread.interval) == ("wilson", wilson(0.25, 100))


def test_no_scored_answer_is_no_rate() -> None:
    spread = over_seeds([], Tally(unscored=5))
    assert spread.rate is None
    assert spread.interval is None
    assert seed_difference(spread, spread) is None


def test_differences_are_taken_within_seeds() -> None:
    """Two measures of the same models differ clearly although the models differ more from each other."""
    plain = over_seeds([0.1, 0.2, 0.6], Tally(aligned=70, misaligned=30))
    other = over_seeds([0.15, 0.25, 0.66], Tally(aligned=64, misaligned=36))
    gap = seed_difference(other, plain)
    assert gap is not None
    assert 0 < gap.low < 0.0533 < gap.high
    base = over_seeds([0.01], Tally(aligned=99, misaligned=1))
    above_base = seed_difference(over_seeds([0.8, 0.82, 0.78], Tally(aligned=20, misaligned=80)), base)
    assert above_base is not None
    assert above_base.low > 0.5
