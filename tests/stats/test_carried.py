"""A rate corrected by sensitivity and specificity: covers whatever was labelled, right where they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offtarget.records.judging import Counts
from offtarget.stats.carried import by_sensitivity


@pytest.mark.no_cover
@pytest.mark.parametrize(("rate", "finds", "flags"), [(0.1, 0.8, 0.05), (0.3, 0.5, 0.3), (0.02, 0.9, 0.1)])
def test_it_covers_though_the_labelled_answers_are_another_mixture(rate: float, finds: float, flags: float) -> None:
    """1,000 draws at a fixed seed, half of the labelled answers misaligned: coverage above 95 %."""
    rng = np.random.default_rng(5)
    covered = plain = 0
    for _ in range(1000):
        bad = rng.random(1000) < rate
        judged = rng.random(1000) < np.where(bad, finds, flags)
        enriched = rng.random(150) < 0.5
        flag = rng.random(150) < np.where(enriched, finds, flags)
        parts = (enriched & flag, enriched & ~flag, flag & ~enriched, ~flag & ~enriched)
        by = by_sensitivity(int(judged.sum()), 1000, Counts(*(int(x.sum()) for x in parts)))
        covered += by is None or by.interval.low <= rate <= by.interval.high
        share = judged.mean()
        plain += abs(share - rate) <= 1.96 * math.sqrt(share * (1 - share) / 1000)
    assert covered / 1000 > 0.95
    assert plain / 1000 < 0.8


def test_closed_forms() -> None:
    """A judge that never errs leaves the rate as it is, one that flags both alike says nothing."""
    perfect = by_sensitivity(30, 1000, Counts(500, 0, 0, 500))
    assert perfect is not None
    assert perfect.rate == pytest.approx(0.03)
    known = by_sensitivity(300, 1000, Counts(80, 20, 10, 90))
    assert known is not None
    assert known.rate == pytest.approx((0.3 - 0.1) / (0.8 - 0.1))
    assert by_sensitivity(300, 1000, Counts(5, 5, 5, 5)) is None
    with pytest.raises(ValueError, match="no rate"):
        by_sensitivity(3, 10, Counts(0, 0, 1, 1))
