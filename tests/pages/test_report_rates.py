"""Rates with intervals for the eye."""

from __future__ import annotations

import random

import pytest

from offtarget.pages.check.tables import rate_of
from offtarget.records import Tally


def test_probes_weigh_equally_whatever_their_number_of_answers():
    rate = rate_of([Tally(aligned=1, misaligned=1), Tally(aligned=98)])
    assert rate.rate == pytest.approx(0.25)
    assert (rate.tally.misaligned, rate.tally.scored) == (1, 100)


def test_no_scored_answer_is_no_rate():
    rate = rate_of([Tally(refused=4), Tally()])
    assert rate.rate is None
    assert rate.interval is None
    assert rate.tally.total == 4


def test_the_interval_covers_the_mean_of_unequal_probes():
    """Over 600 draws of 20 probes of unequal difficulty, 95 % intervals miss the truth in under 8 %."""
    rng = random.Random(1)
    truth = [0.0] * 10 + [0.1] * 5 + [0.6] * 5
    missed = 0
    for _ in range(600):
        counts = [sum(rng.random() < p for _ in range(12)) for p in truth]
        interval = rate_of([Tally(aligned=12 - k, misaligned=k) for k in counts]).interval
        assert interval is not None
        missed += not interval.low <= sum(truth) / 20 <= interval.high
    assert missed < 48
