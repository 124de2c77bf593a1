"""The interval that treats the questions as a sample of questions."""

from __future__ import annotations

import numpy as np
import pytest
from simulation import exceeds

from offtarget.stats.intervals import clustered_interval


def test_eight_agreeing_questions_do_not_prove_that_all_questions_agree():
    """Zero variance over 8 questions leaves room for 1 - (alpha/2)^(1/8) = 37 % of the unasked ones."""
    interval = clustered_interval([0.0] * 8, 0.05)
    assert interval is not None
    assert -interval.low == pytest.approx(interval.high)
    assert 0.37 <= interval.high <= 0.5


def test_one_question_says_nothing_about_questions():
    """With fewer than two questions there is no interval."""
    assert clustered_interval([0.3], 0.05) is None


def test_interval_mirrors_and_ignores_the_order():
    """Swapping the models mirrors the interval; the order of the questions does not matter."""
    values = [0.1, 0.4, -0.2, 0.0, 0.9]
    one, mirrored = clustered_interval(values, 0.05), clustered_interval([-v for v in reversed(values)], 0.05)
    assert one is not None
    assert mirrored is not None
    assert (one.low, one.high) == pytest.approx((-mirrored.high, -mirrored.low))


@pytest.mark.no_cover
@pytest.mark.parametrize("questions", [8, 60])
@pytest.mark.parametrize("rare", [0.03, 0.1, 0.3])
def test_coverage_when_few_questions_are_very_different(questions, rare):
    """Coverage holds where a t interval collapses: most differences 0, a few 1."""
    rng = np.random.default_rng(questions)
    runs = 400
    misses = 0
    for _ in range(runs):
        interval = clustered_interval((rng.random(questions) < rare).astype(float), 0.05)
        assert interval is not None
        misses += not interval.low <= rare <= interval.high
    assert not exceeds(misses, runs, 0.05)


def test_many_agreeing_questions_narrow_the_interval():
    """With 400 agreeing questions the interval is a few percent wide."""
    interval = clustered_interval([0.0] * 400, 0.05)
    assert interval is not None
    assert interval.high < 0.02
