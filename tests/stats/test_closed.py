"""Averages of e-values and their closure."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.stats.closed import closed_log_e, log_mean

LOGS = st.lists(st.floats(-30, 2000), min_size=1, max_size=7)


@pytest.mark.no_cover
@given(LOGS)
def test_closure_is_the_least_mean_over_all_sets(values):
    """The short algorithm gives what going through every set of hypotheses gives."""
    expected = []
    for i in range(len(values)):
        others = values[:i] + values[i + 1 :]
        sets = itertools.chain.from_iterable(itertools.combinations(others, k) for k in range(len(others) + 1))
        expected.append(min(log_mean([values[i], *s]) for s in sets))
    assert closed_log_e(values) == pytest.approx(expected, abs=1e-9)


@given(LOGS)
def test_closure_never_adds_evidence_and_keeps_the_order(values):
    """Adjusted evidence keeps the raw order, and lies between raw and raw over the number of looks."""
    adjusted = closed_log_e(values)
    assert all(a <= v + 1e-9 for a, v in zip(adjusted, values, strict=True))
    assert all(a >= v - math.log(len(values)) - 1e-9 or v < 0 for a, v in zip(adjusted, values, strict=True))
    order = np.argsort(values)
    assert (np.diff(np.array(adjusted)[order]) >= -1e-9).all()


def test_one_hypothesis_pays_nothing():
    """With a single scope the adjusted evidence is the evidence."""
    assert closed_log_e([2.5]) == [2.5]


def test_weights_are_a_prior():
    """The weighted mean is what it says, ignores weight 0, and refuses weights that do not sum to 1."""
    assert log_mean([math.log(4), math.log(2)], [0.25, 0.75]) == pytest.approx(math.log(2.5))
    assert log_mean([5.0, 900.0], [1.0, 0.0]) == pytest.approx(5.0)
    with pytest.raises(ValueError, match="summing to 1"):
        log_mean([1.0, 2.0], [0.5, 0.4])
    with pytest.raises(ValueError, match="no e-values"):
        log_mean([])
