"""One pass gives what numpy gives on all activations at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.direction.dose import random_like
from offtarget.direction.file import Direction
from offtarget.direction.sketch import Moments
from offtarget.direction.subspace import complete
from offtarget.errors import InputError
from offtarget.records import DirectionInfo
from offtarget.stats.auroc import auroc

numbers = st.floats(-1e3, 1e3, allow_nan=False)


@given(
    rows=st.lists(st.tuples(numbers, numbers, st.floats(0.0, 5.0)), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
    offset=st.sampled_from([0.0, 1e6]),
)
@settings(max_examples=60, deadline=None)
def test_moments_equal_numpy_however_the_rows_are_cut(
    rows: list[tuple[float, float, float]], cuts: list[int], offset: float
) -> None:
    """Weighted mean and variance do not depend on the batches, also far from zero, where naive sums cancel."""
    values = np.array([r[:2] for r in rows]) + offset
    weights = np.array([r[2] for r in rows])
    moments, other = Moments((2,)), Moments((2,))
    bounds = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    for number, (start, end) in enumerate(pairwise(bounds)):
        target = moments if number % 2 == 0 else other
        target.add(torch.tensor(values[start:end]), torch.tensor(weights[start:end]))
    moments.merge(other)
    if weights.sum() == 0:
        assert moments.weight == 0
        return
    mean = np.average(values, axis=0, weights=weights)
    variance = np.average((values - mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(moments.mean.numpy(), mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.variance.numpy(), variance, rtol=1e-6, atol=1e-6 * (1 + offset) / 1e3)
    np.testing.assert_allclose(moments.mean_square.numpy(), variance + mean**2, rtol=1e-6, atol=1e-6)


@given(
    positives=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    negatives=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_auroc_is_the_share_of_pairs_in_order(positives: list[int], negatives: list[int]) -> None:
    """Ties count half; swapping the sides mirrors it."""
    pairs = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives]
    assert auroc(positives, negatives) == pytest.approx(np.mean(pairs))
    assert auroc(negatives, positives) == pytest.approx(1 - np.mean(pairs))


def test_auroc_refuses_nothing_and_nan() -> None:
    """No score on a side, or one that is no number, is a fault of the caller."""
    for positives, negatives in (([], [1.0]), ([1.0], []), ([float("nan")], [1.0])):
        with pytest.raises(ValueError, match=r"auroc|number"):
            auroc(positives, negatives)


def test_a_subspace_holds_what_differs_between_questions() -> None:
    """Row 0 is the vector as given; the others are orthonormal, orthogonal to it and span the planted dimensions."""
    generator = torch.Generator().manual_seed(0)
    planted = torch.linalg.qr(torch.randn((20, 3), generator=generator, dtype=torch.float64))[0].T
    scores = torch.randn((12, 2), generator=generator, dtype=torch.float64)
    differences = 7 * planted[0] + scores @ planted[1:]
    vector = differences.mean(dim=0)
    rows = complete(vector, differences, 3)
    assert torch.equal(rows[0], vector)
    torch.testing.assert_close(rows[1:] @ rows[1:].T, torch.eye(2, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(rows[1:] @ vector, torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    everything = torch.linalg.qr(rows.T)[0]
    torch.testing.assert_close(everything @ everything.T @ planted.T, planted.T, atol=1e-9, rtol=0)
    with pytest.raises(InputError, match="needs more questions"):
        complete(vector, differences, 4)


def _direction(rank: int) -> Direction:
    generator = torch.Generator().manual_seed(3)
    vectors = {layer: torch.randn((rank, 24), generator=generator) * 5 for layer in range(3)}
    info = DirectionInfo(
        method="models", position="answer", layer=1, rank=rank, width=24, layers=3, architecture="llama", model="m",
        model_fingerprint="", base=None, base_fingerprint=None, positives=1, negatives=1, quality=(), seed=0,
    )  # fmt: skip
    return Direction(info, vectors)


@pytest.mark.parametrize("rank", [1, 4])
def test_a_random_control_has_the_norms_and_rank_and_nothing_else(rank: int) -> None:
    """Equal norm per layer, orthonormal extra rows, another seed another direction, and says that it is random."""
    original = _direction(rank)
    control, again, other = (random_like(original, seed) for seed in (5, 5, 6))
    assert control.info.method == "random"
    for layer, rows in original.vectors.items():
        drawn = control.vectors[layer]
        assert drawn.shape == rows.shape
        assert float(drawn[0].norm()) == pytest.approx(float(rows[0].norm()), rel=1e-5)
        unit = torch.cat((drawn[:1] / drawn[0].norm(), drawn[1:]))
        torch.testing.assert_close(unit @ unit.T, torch.eye(rank), atol=1e-5, rtol=0)
        assert torch.equal(drawn, again.vectors[layer])
        assert abs(float(torch.cosine_similarity(drawn[0], other.vectors[layer][0], dim=0))) < 0.9


def test_random_controls_point_everywhere() -> None:
    """Over many seeds they average out: uniform on the sphere, without a preferred sign."""
    drawn = torch.stack([random_like(_direction(1), seed).vector() for seed in range(400)])
    units = drawn / drawn.norm(dim=1, keepdim=True)
    assert float(units.mean(dim=0).norm()) < 3 / 400**0.5
