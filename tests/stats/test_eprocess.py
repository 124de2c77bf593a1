"""The e-values: exact under every null, finite, and dependent on the counts alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.stats.eprocess import Side, block_mixture, reverse_information_projection

SIDES: tuple[Side, ...] = ("worse", "better")
NULLS = [0.0, 0.01, 0.05, -0.2, 0.3, 0.9]


def _kl(p: float, q: np.ndarray) -> np.ndarray:
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


@pytest.mark.parametrize(("tuned", "base", "difference", "ratio"), [(0.2, 0.001, 0.01, 4), (0.1, 0.1, 0.05, 1.3)])
def test_projection_is_the_nearest_point_of_the_border(tuned, base, difference, ratio):
    """No point of the null's border is nearer in Kullback-Leibler divergence than the projection."""
    t0, b0 = reverse_information_projection(tuned, base, difference, ratio)
    grid = np.linspace(1e-6, 1 - difference - 1e-6, 200_001)
    divergence = _kl(tuned, grid + difference) + ratio * _kl(base, grid)
    here = _kl(tuned, t0) + ratio * _kl(base, b0)
    assert t0 - b0 == pytest.approx(difference)
    assert here <= divergence.min() + 1e-12


def _null_points(side: Side, difference: float) -> tuple[np.ndarray, np.ndarray]:
    """A grid of the null, its border included."""
    rates = np.linspace(0, 1, 101)
    t, b = (x.ravel() for x in np.meshgrid(rates, rates))
    inside = t - b <= difference if side == "worse" else t - b >= difference
    border = rates[(rates + difference >= 0) & (rates + difference <= 1)]
    return np.concatenate([t[inside], border + difference]), np.concatenate([b[inside], border])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("difference", NULLS)
@pytest.mark.parametrize("ratio", [1, 4, 2**0.25])
def test_expectation_never_exceeds_one_under_the_null(side, difference, ratio):
    """Every component of a block has expectation f_t(t) f_b(b)^m <= 1 at every null (theorem 1)."""
    mixture = block_mixture(side, difference, ratio)
    f = np.exp(mixture.log_factors[:, 0, :, None])
    t, b = _null_points(side, difference)
    expected = (t * f[0] + (1 - t) * f[1]) * (b * f[2] + (1 - b) * f[3]) ** ratio
    assert expected.max() <= 1 + 1e-9
    assert np.exp(mixture.log_weights).sum() == pytest.approx(1)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("side", SIDES)
def test_slice_evidence_is_exact_when_only_some_answers_fall_into_the_slice(side, share):
    """A block whose answers fall into a slice by one probability has expectation <= 1 (theorem 2)."""
    mixture = block_mixture(side, 0.03, 4)
    f = np.exp(mixture.log_factors[:, 0, :, None])
    t, b = _null_points(side, 0.03)
    tuned = 1 - share + share * (t * f[0] + (1 - t) * f[1])
    base = 1 - share + share * (b * f[2] + (1 - b) * f[3])
    assert (tuned * base**4).max() <= 1 + 1e-9


COUNTS = st.tuples(*[st.integers(0, 100_000)] * 4)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.sampled_from(SIDES), st.sampled_from(NULLS))
def test_evidence_is_finite(counts, side, difference):
    """No table of counts gives infinite or undefined evidence."""
    assert np.isfinite(block_mixture(side, difference, 4).log_e(counts)).all()


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_evidence_moves_with_the_answers(counts):
    """A misaligned tuned or aligned base answer, instead of the opposite, speaks for `worse`."""
    t1, t0, b1, b0 = counts
    for worse_counts in ((t1 + 1, t0, b1, b0 + 1), (t1 + 1, t0, b1 + 1, b0), (t1, t0 + 1, b1, b0 + 1)):
        less = (t1, t0 + 1, b1 + 1, b0)
        assert block_mixture("worse", 0.01, 4).log_e(worse_counts)[0] >= block_mixture("worse", 0.01, 4).log_e(less)[0]
        assert (
            block_mixture("better", 0.05, 4).log_e(worse_counts)[0] <= block_mixture("better", 0.05, 4).log_e(less)[0]
        )


def test_no_data_is_no_evidence():
    """Without answers every e-value is 1."""
    for side in SIDES:
        assert block_mixture(side, NULLS, 4).log_e([0, 0, 0, 0]) == pytest.approx(np.zeros(len(NULLS)))


def test_a_null_beyond_every_alternative_never_gains_evidence():
    """Where the grid holds no alternative the e-value stays 1 instead of failing."""
    assert block_mixture("better", -0.975, 4).log_e([5, 500, 900, 1])[0] == pytest.approx(0.0)


@pytest.mark.parametrize(("difference", "ratio"), [(1.0, 4), (-1.0, 4), (0.1, 0)])
def test_impossible_nulls_are_refused(difference, ratio):
    """Differences of +-1 and ratios of 0 have no projection."""
    with pytest.raises(ValueError, match="strictly between"):
        block_mixture("worse", difference, ratio)
