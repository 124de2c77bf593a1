"""Fixed benchmarks, decided together: what may be claimed wrongly, how often, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import exceeds

from offtarget.errors import InputError
from offtarget.records import Status
from offtarget.records.benchmarks import BenchmarkItems, BenchmarkSettings, ItemPair
from offtarget.stats.paired_items import decide_benchmarks, holm

SETTINGS = BenchmarkSettings(alpha=0.05)
RUNS = 150


def items(name: str, base, tuned) -> BenchmarkItems:
    pairs = (ItemPair(str(i), float(x), float(y)) for i, (x, y) in enumerate(zip(base, tuned, strict=True)))
    return BenchmarkItems(name, "acc", tuple(pairs))


def right(rng: np.random.Generator, n: int, rate: float, drop: float, together: float) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of two models that share a draw for a part of the items; the tuned rate is `drop` less."""
    draws = rng.random((2, n))
    draws[1] = np.where(rng.random(n) < together, draws[0], draws[1])
    return (draws[0] < rate).astype(float), (draws[1] < rate - drop).astype(float)


def partly(rng: np.random.Generator, n: int, drop: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores in between with a mean of 1/2, as of a metric with parts; the tuned model's mean is `drop` less."""
    base = rng.beta(2, 2, n)
    return base, (0.7 * base + 0.3 * rng.beta(2, 2, n)) * (1 - 2 * drop)


def family(rng: np.random.Generator, drop: float) -> list[BenchmarkItems]:
    """Four benchmarks that lost the same: models that go together, that go their own ways, few items, and parts."""
    return [
        items("together", *right(rng, 300, 0.6, drop, 0.95)),
        items("apart", *right(rng, 300, 0.5, drop, 0.0)),
        items("few", *right(rng, 40, 0.8, drop, 0.7)),
        items("parts", *partly(rng, 200, drop)),
    ]


@pytest.mark.long
@pytest.mark.no_cover
def test_nothing_lost_is_seldom_called_worse_and_seldom_a_red_flag():
    """Over the whole family, whether the models' answers go together or not."""
    rng = np.random.default_rng(1)
    found = [decide_benchmarks(family(rng, 0.0), SETTINGS) for _ in range(RUNS)]
    assert not exceeds(sum(any(r.standing == "worse" for r in f.results) for f in found), RUNS, SETTINGS.alpha)
    assert not exceeds(sum(f.red_flag for f in found), RUNS, SETTINGS.alpha)


@pytest.mark.long
@pytest.mark.no_cover
def test_what_lost_the_margin_is_seldom_called_not_worse():
    rng = np.random.default_rng(2)
    found = [decide_benchmarks(family(rng, SETTINGS.margin), SETTINGS) for _ in range(RUNS)]
    assert not exceeds(sum(any(r.within_margin for r in f.results) for f in found), RUNS, SETTINGS.alpha)
    assert sum(f.red_flag for f in found) > RUNS / 2  # and it is found


@pytest.mark.long
@pytest.mark.no_cover
def test_bounds_of_a_whole_family_hold_together():
    rng = np.random.default_rng(3)
    drop = 0.03
    found = [decide_benchmarks(family(rng, drop), SETTINGS) for _ in range(RUNS)]
    low = sum(any(r.bounds.low > -drop + 1e-9 for r in f.results) for f in found)
    high = sum(any(r.bounds.high < -drop - 1e-9 for r in f.results) for f in found)
    assert not exceeds(low, RUNS, SETTINGS.alpha)
    assert not exceeds(high, RUNS, SETTINGS.alpha)


def test_a_loss_is_a_red_flag_and_the_same_model_is_not_worse():
    rng = np.random.default_rng(4)
    base, tuned = right(rng, 1000, 0.7, 0.1, 0.9)
    decided = decide_benchmarks([items("lost", base, tuned), items("same", base, base)], BenchmarkSettings())
    lost, same = decided.results
    assert (lost.standing, lost.red_flag, lost.within_margin) == ("worse", True, False)
    assert (same.standing, same.lost, same.gained, same.difference) == ("not worse", 0, 0, 0.0)
    assert same.p_worse == 1
    assert same.bounds.low > -0.05
    assert decided.status is Status.FAIL
    assert lost.bounds.high < -0.01
    assert lost.log_e < 0


def test_what_was_not_run_leaves_the_rest_undecided_and_counts_in_the_family():
    same = [1.0] * 150
    alone = decide_benchmarks([items("a", same, same)], BenchmarkSettings())
    absent = [BenchmarkItems(f"x{i}", "", why_not="Its data needs the network.") for i in range(40)]
    among = decide_benchmarks([items("a", same, same), *absent], BenchmarkSettings())
    assert alone.status is Status.PASS
    assert among.status is Status.UNDECIDED
    assert among.results[1].standing == "not run"
    assert among.results[1].why_not
    assert not among.results[0].within_margin  # at a fortieth of alpha, 150 items are too few
    assert decide_benchmarks([], BenchmarkSettings()).status is Status.UNDECIDED
    nothing = decide_benchmarks([BenchmarkItems("empty", "acc")], BenchmarkSettings())
    assert nothing.results[0].standing == "not run"


def test_a_small_loss_may_be_worse_and_within_the_margin():
    base = [1.0] * 4000
    tuned = [0.0] * 30 + [1.0] * 3970
    (one,) = decide_benchmarks([items("a", base, tuned)], BenchmarkSettings()).results
    assert (one.standing, one.red_flag, one.within_margin) == ("worse", False, True)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.5])
@pytest.mark.parametrize("who", ["base", "tuned"])
def test_scores_that_are_none_are_refused(bad, who):
    good = [1.0, 0.0, 1.0]
    spoilt = [1.0, bad, 1.0]
    with pytest.raises(InputError, match=r"'a': item '1' has the score .* from 0 to 1"):
        decide_benchmarks([items("a", *((spoilt, good) if who == "base" else (good, spoilt)))], BenchmarkSettings())


def test_an_item_and_a_benchmark_occur_once():
    twice = BenchmarkItems("a", "acc", (ItemPair("7", 1, 1), ItemPair("7", 1, 0)))
    with pytest.raises(InputError, match="item '7' occurs 2 times"):
        decide_benchmarks([twice], BenchmarkSettings())
    with pytest.raises(InputError, match="named twice"):
        decide_benchmarks([items("a", [1], [1]), items("a", [1], [1])], BenchmarkSettings())


def test_settings_are_shares_and_the_tolerance_is_below_every_margin():
    for wrong in ({"alpha": 5}, {"margin": 0.0}, {"margins": {"a": 3}}, {"tolerance": 0.06}, {"margins": {"a": 0.01}}):
        with pytest.raises(InputError, match="--benchmark-"):
            BenchmarkSettings(**wrong)


@given(st.lists(st.none() | st.floats(0, 1), max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_no_more_than_each_alone_and_no_less_than_bonferroni(values, alpha):
    rejected = holm(values, alpha)
    for value, decided in zip(values, rejected, strict=True):
        assert not decided or (value is not None and value <= alpha)
        assert decided or value is None or value > alpha / len(values)
