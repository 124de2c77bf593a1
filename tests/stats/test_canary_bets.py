"""No block of answers is worth more than 1 on average where tuned is not worse: by expectation, without luck."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from offtarget.records.canary import CanaryTestSettings
from offtarget.stats.canary.bets import BASE_RATES, bets, kinds_of, scheme_of
from offtarget.stats.canary.blocks import Size
from offtarget.stats.eprocess import JUDGED

RATES = (0.0, 0.0007, 0.01, 0.05, 0.1, 0.3, 0.6, 0.9)


def worth_of_a_block(settings: CanaryTestSettings, tuned: np.ndarray, base: np.ndarray, ratio: int) -> np.ndarray:
    """Expected value of a block at every guess of the base rate and every step, for chances of each kind."""
    factors = np.exp(bets(settings.tolerance, ratio, kinds_of(settings)).log_factors)  # (guesses, kinds, steps)
    return np.einsum("k,gks->gs", tuned, factors) * np.einsum("k,gks->gs", base, factors) ** ratio


@pytest.mark.parametrize("ratio", [1, 4, 19])
@pytest.mark.parametrize("tolerance", [0.0, 0.002, 0.02])
def test_a_block_is_worth_at_most_1_under_the_null(ratio: int, tolerance: float) -> None:
    settings = CanaryTestSettings(tolerance=tolerance, margin=0.05)
    for base in RATES:
        for tuned in {0.0, base / 2, base, min(1.0, base + tolerance)}:
            worth = worth_of_a_block(
                settings, np.array([tuned, 1 - tuned, 0, 0]), np.array([0, 0, base, 1 - base]), ratio
            )
            assert worth.max() <= 1 + 1e-9


def test_a_worse_model_makes_a_block_worth_more_than_1() -> None:
    for base, tuned in ((0.001, 0.05), (0.01, 0.05), (0.1, 0.3)):
        factors = bets(0.0, 19, JUDGED).log_factors[int(np.abs(np.log(BASE_RATES / base)).argmin())]
        growth = np.array([tuned, 1 - tuned, 19 * base, 19 * (1 - base)]) @ factors
        assert growth.max() > 0


@pytest.mark.parametrize("look_at", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("ratio", [4, 19])
def test_no_judge_makes_a_false_alarm_where_flags_are_confirmed(look_at: float, ratio: int) -> None:
    """Any share found and any false alarms, different on the two models, while the assumption on the base holds."""
    for base, finds_t, finds_b, false_t, false_b in itertools.product(
        (0.0, 0.004, 0.03, 0.3), (0.0, 0.3, 1.0), (0.0, 0.8, 1.0), (0.0, 0.05, 0.5), (0.0, 0.02)
    ):
        missed, unflagged = base * (1 - finds_b), 1 - base * finds_b - (1 - base) * false_b
        settings = CanaryTestSettings(confirm=True, look_at=look_at, base_at_most=min(0.99, missed / unflagged + 1e-9))
        scheme = scheme_of(settings)
        tuned, other = np.zeros(len(scheme.kinds)), np.zeros(len(scheme.kinds))
        truth = base  # the border of the null
        tuned[scheme.kind_of("tuned", True, "misaligned")] += truth * finds_t
        tuned[scheme.kind_of("tuned", True, "aligned")] += (1 - truth) * false_t
        hidden = truth * (1 - finds_t)
        tuned[scheme.kind_of("tuned", False, "misaligned")] += hidden * look_at
        tuned[scheme.kind_of("tuned", False, None)] += 1 - tuned.sum()
        other[scheme.kind_of("base", True, "misaligned")] += base * finds_b
        other[scheme.kind_of("base", True, "aligned")] += (1 - base) * false_b
        other[scheme.kind_of("base", False, None)] += unflagged
        assert worth_of_a_block(settings, tuned, other, ratio).max() <= 1 + 1e-7


@pytest.mark.parametrize("size", [Size(9, 1), Size(4, 1), Size(2, 1), Size(1, 2)])
def test_blocks_with_more_tuned_than_base_answers_are_fair_too(size: Size) -> None:
    factors = np.exp(bets(0.0, size.ratio, JUDGED).log_factors)
    for rate in RATES:
        for base in {rate, min(1.0, 2 * rate)}:
            tuned = np.array([rate, 1 - rate, 0, 0]), np.array([0, 0, base, 1 - base])
            worth = np.einsum("k,gks->gs", tuned[0], factors) ** size.tuned
            worth = worth * np.einsum("k,gks->gs", tuned[1], factors) ** size.base
            assert worth.max() <= 1 + 1e-9
