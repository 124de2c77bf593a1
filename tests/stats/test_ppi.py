"""The corrected rate: unbiased whatever the judge does, never wider than labels alone by much, and it covers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.stats.binomial import clopper_pearson, log_binomial_at_least
from offtarget.stats.ppi import FEWEST, Labelled, corrected_rate, student_quantile

counts = st.integers(0, 400)


def _labelled(truth: np.ndarray, judged: np.ndarray) -> Labelled:
    both = [int(((judged == j) & (truth == h)).sum()) for j, h in ((1, 1), (1, 0), (0, 1), (0, 0))]
    return Labelled(*both)


@given(st.integers(10, 80), st.integers(0, 60), st.integers(0, 60), st.integers(10, 80), counts, counts)
def test_counts_say_what_the_answers_themselves_do(a: int, b: int, c: int, d: int, flagged: int, rest: int) -> None:
    """The formulas of the paper on the answers, one by one."""
    truth = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    judged = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])
    further = np.repeat([1.0, 0.0], [flagged, rest])
    found = corrected_rate(Labelled(a, b, c, d), flagged, rest)
    everything = np.concatenate([judged, further])
    weight = 0.0
    if len(further):
        weight = np.cov(truth, judged)[0, 1] / everything.var() / (1 + len(truth) / len(further))
    weight = float(np.clip(weight, 0, 1))
    error = truth - weight * judged
    rate = error.mean() + (weight * further.mean() if len(further) else 0)
    assert found.weight == pytest.approx(weight)
    assert found.rate == pytest.approx(np.clip(rate, 0, 1))
    assert 0 <= found.interval.low <= found.rate <= found.interval.high <= 1
    plain = error.var(ddof=1) / len(truth) + (weight**2 * everything.var() / len(further) if len(further) else 0)
    assert found.interval.high - found.interval.low >= min(1.9 * math.sqrt(plain), 0.5)


@given(st.integers(0, FEWEST - 1), st.integers(10, 300), counts, counts)
def test_few_labels_of_one_sort_give_the_exact_bound(misaligned: int, aligned: int, flagged: int, rest: int) -> None:
    """No normal interval from a handful of cases; with 0 of 150 it would have no width at all."""
    found = corrected_rate(Labelled(0, 0, misaligned, aligned), flagged, rest)
    assert found.exact
    assert found.interval == clopper_pearson(misaligned, misaligned + aligned)


@pytest.mark.parametrize(
    ("rate", "finds", "false"), [(0.1, 0.9, 0.02), (0.3, 0.3, 0.3), (0.5, 1.0, 0.0), (0.15, 0.6, 0.2), (0.8, 0.2, 0.0)]
)
def test_covers_the_truth_whatever_the_judge_is_worth(rate: float, finds: float, false: float) -> None:
    """150 labels of 1,350 answers, the judge right, useless, biased either way."""
    rng, held, runs = np.random.default_rng(3), 0, 1000
    for _ in range(runs):
        truth = rng.random(1350) < rate
        judged = rng.random(1350) < np.where(truth, finds, false)
        found = corrected_rate(
            _labelled(truth[:150], judged[:150]), int(judged[150:].sum()), int((~judged[150:]).sum())
        )
        held += found.interval.low <= rate <= found.interval.high
    assert math.exp(log_binomial_at_least(runs - held, runs, 0.05)) > 0.001


def test_a_good_judge_narrows_the_interval_and_a_useless_one_does_not_widen_it() -> None:
    """What the labels alone say is the yardstick."""
    alone = corrected_rate(Labelled(0, 0, 45, 105), 0, 0)
    good = corrected_rate(Labelled(44, 1, 1, 104), 360, 840)
    useless = corrected_rate(Labelled(14, 31, 31, 74), 360, 840)
    width = [r.interval.high - r.interval.low for r in (good, useless, alone)]
    assert width[0] < 0.6 * width[2]
    assert width[1] <= width[2] * 1.01


def test_quantiles_of_student() -> None:
    """Tables say 2.2281, 2.0484 and 1.9761 for .975."""
    assert [round(student_quantile(0.975, n), 3) for n in (10, 28, 148)] == [2.228, 2.048, 1.976]


@pytest.mark.parametrize(
    "bad", [(Labelled(1, 0, 0, 0), 1, 1), (Labelled(3, -1, 3, 3), 1, 1), (Labelled(3, 3, 3, 3), -1, 1)]
)
def test_counts_that_cannot_be_are_refused(bad: tuple) -> None:
    """A caller's mistake."""
    with pytest.raises(ValueError, match="counts"):
        corrected_rate(*bad)
