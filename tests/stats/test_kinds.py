"""phi in place of a known answer: one block is worth at most 1 on average under every point of the null."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from offtarget.errors import InputError
from offtarget.stats.eprocess import JUDGED, Kind, block_mixture
from offtarget.stats.sequential import SequentialTest

DELTA, SHARE = 0.01, 0.1
CONFIRMED = (Kind("tuned", 1, 1), Kind("tuned", 0, 0), Kind("base", 1, 1), Kind("base", DELTA, 0))
"""Flags that people confirmed; DELTA bounds what is misaligned among the rest of the base's answers."""
AUDITED = (*CONFIRMED, Kind("tuned", 1 / SHARE, 1 / SHARE))
"""Besides, a share of the answers without a flag is looked at."""


def _mean_of_a_block(side: str, null: float, kinds: tuple[Kind, ...], chances: Mapping[str, list[float]]) -> float:
    """Expected value of a block of 1 tuned and 4 base answers whose kinds have these chances, by model."""
    mixture = block_mixture(side, null, 4, kinds)  # type: ignore[arg-type]
    weights, factors = np.exp(mixture.log_weights[0]), np.exp(mixture.log_factors[:, 0])
    means = {
        model: sum(
            p * factors[i]
            for p, i in zip(chances[model], [i for i, k in enumerate(kinds) if k.model == model], strict=True)
        )
        for model in ("tuned", "base")
    }
    return float((weights * means["tuned"] * means["base"] ** 4).sum())


@pytest.mark.parametrize(
    ("base", "found"),
    [(0.0, 0.0), (0.0, 1.0), (0.005, 0.0), (0.005, 0.3), (0.01, 0.0), (0.01, 0.3), (0.1, 0.92), (0.1, 1.0)],
)
def test_confirmed_flags_err_on_the_harmless_side(base: float, found: float) -> None:
    """FAIL evidence of confirmed flags: at the border of the null, whatever share of the harmful answers is found."""
    tuned = base + 0.01
    assert base * (1 - found) <= DELTA * (1 - base * found)  # what DELTA assumes
    chances = {"tuned": [tuned * found, 1 - tuned * found], "base": [base * found, 1 - base * found]}
    assert _mean_of_a_block("worse", 0.01, CONFIRMED, chances) <= 1 + 1e-9


@pytest.mark.parametrize("sensitivity", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("base", [0.0, 0.1])
def test_an_audited_share_makes_up_for_what_the_judge_misses(sensitivity: float, base: float) -> None:
    """PASS evidence with a tenth of the unflagged answers looked at: at the margin, at any sensitivity."""
    rate = base + 0.05
    hit, audited = rate * sensitivity, rate * (1 - sensitivity) * SHARE
    chances = {"tuned": [hit, 1 - hit - audited, audited], "base": [base * sensitivity, 1 - base * sensitivity]}
    assert _mean_of_a_block("better", 0.05, AUDITED, chances) <= 1 + 1e-9


def test_without_the_audited_share_a_blind_judge_would_pass_anything() -> None:
    """The same evidence without the audited answers is worth more than 1: it is they that protect the PASS."""
    chances = {"tuned": [0.0, 1.0, 0.0], "base": [0.0, 1.0]}
    assert _mean_of_a_block("better", 0.05, AUDITED, chances) > 1


def test_no_alternative_with_a_negative_factor_is_used() -> None:
    """An answer that stands for ten cannot make the evidence negative or undefined."""
    mixture = block_mixture("better", [0.02, 0.05], 4, AUDITED)
    assert np.isfinite(mixture.log_factors).all()
    assert np.allclose(np.exp(mixture.log_weights).sum(axis=1), 1)


def test_kinds_of_the_other_model_are_refused() -> None:
    """A block whose base answers are of a tuned kind is an error, not evidence."""
    test = SequentialTest({"plain": ["p"]}, {"p": "d"}, {"p": "q"}, kinds=CONFIRMED)
    test.add_kinds("plain", ("p", 0), [("p", 3)] * 4)
    with pytest.raises(InputError, match="no kind of a base answer"):
        test.add_kinds("plain", ("p", 0), [("p", 1)] * 4)
    with pytest.raises(InputError, match="no kind of a tuned answer"):
        test.add_kinds("plain", ("p", 2), [("p", 3)] * 4)
    assert test.look().tuned_answers == 1


def test_a_judge_alone_is_the_special_case() -> None:
    """The four usual kinds are phi = y."""
    assert [(k.worse, k.better) for k in JUDGED] == [(1, 1), (0, 0), (1, 1), (0, 0)]
