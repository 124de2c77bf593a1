"""The lower bound of an AUROC: it holds as often as it says, and a handful of answers proves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from offtarget.stats.auroc import auroc, auroc_at_least


@pytest.mark.parametrize(("positives", "negatives", "spread"), [(8, 8, 1.0), (60, 20, 1.0), (20, 60, 3.0)])
def test_what_tells_nothing_apart_is_taken_for_something_one_time_in_twenty(
    positives: int, negatives: int, spread: float
) -> None:
    """Also where one side is spread more widely, so that ranks are not exchangeable."""
    rng = np.random.default_rng(0)
    wrong = sum(
        auroc_at_least(spread * rng.normal(size=positives), rng.normal(size=negatives), 0.05) > 0.5 for _ in range(2000)
    )
    assert 0.01 < wrong / 2000 < 0.075


def test_three_answers_a_side_prove_nothing_and_fifty_do() -> None:
    assert auroc([1.0] * 3, [0.0] * 3) == 1
    assert auroc_at_least([1.0] * 3, [0.0] * 3, 0.05 / 8) < 0.5
    assert 0.8 < auroc_at_least([1.0] * 50, [0.0] * 50, 0.05 / 8) < 1


def test_a_surer_bound_is_lower_and_never_above_the_estimate() -> None:
    rng = np.random.default_rng(1)
    above, below = rng.normal(1.0, size=40), rng.normal(size=40)
    bounds = [auroc_at_least(above, below, alpha) for alpha in (0.2, 0.05, 0.001)]
    assert auroc(above, below) > bounds[0] > bounds[1] > bounds[2]
