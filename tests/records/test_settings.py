"""Settings that make no sense are refused when they are made, by the name of the option."""

from __future__ import annotations

import math
from typing import Any

import pytest

from offtarget.errors import InputError
from offtarget.records import AuditSettings, DecisionSettings, SamplingSettings
from offtarget.records.alternatives import AlternativesSettings
from offtarget.records.check import CheckSettings
from offtarget.records.direction import FindSettings, SteerSettings
from offtarget.records.rated import RatingSettings
from offtarget.records.repair import RepairSettings
from offtarget.records.reproduce import ReproduceSettings
from offtarget.records.tune import DefenceSettings, TuneSettings

BETWEEN = "must be a share above 0 and below 1"
FROM_ZERO = "must be a share from 0 on and below 1"
UP_TO_ONE = "must be a share above 0 and at most 1"
ANY = "must be a share from 0 on and at most 1"


@pytest.mark.parametrize(
    ("settings", "changes", "says"),
    [
        (CheckSettings, {"max_answers": 0}, "--max-answers must be at least 1, not 0."),
        (CheckSettings, {"max_cued_answers": -2}, "--max-cued-answers must be at least 1, not -2."),
        (DecisionSettings, {"tolerance": 5}, f"--tolerance {FROM_ZERO}: 5 is 500 %, and 5 % is 0.05."),
        (DecisionSettings, {"margin": 5.0}, f"--margin {BETWEEN}: 5 is 500 %, and 5 % is 0.05."),
        (DecisionSettings, {"average_margin": -1.0}, f"--average-margin {FROM_ZERO}, not -1."),
        (DecisionSettings, {"alpha": 0.0}, f"--alpha {BETWEEN}, not 0."),
        (
            SamplingSettings,
            {"top_p": 90},
            f"--top-p {UP_TO_ONE}: 90 is 9000 %, and 90 % is 0.9.",
        ),
        (RatingSettings, {"by": "people", "look_at": 10}, f"--look-at {ANY}: 10 is 1000 %, and 10 % is 0.1."),
        (AuditSettings, {"noise_limit": 1.0}, f"--noise-limit {BETWEEN}: 1 is 100 %, and 1 % is 0.01."),
        (AuditSettings, {"alpha": math.nan}, "--alpha must be a share above 0 and below 1, not nan."),
        (AuditSettings, {"max_rows": 0}, "--max-rows must be at least 1, not 0."),
        (AuditSettings, {"controls": -1}, "--controls must be at least 0, not -1."),
        (AlternativesSettings, {"held_out": 0.0}, "--held-out must be a share above 0 and below 1, not 0."),
        (AlternativesSettings, {"examples": 0}, "--examples must be at least 1, not 0."),
        (AlternativesSettings, {"margin": 1.0}, f"--least-gain {FROM_ZERO}: 1 is 100 %, and 1 % is 0.01."),
        (FindSettings, {"answers": 1}, "--answers must be at least 2, not 1."),
        (FindSettings, {"rank": 0}, "--rank must be at least 1, not 0."),
        (FindSettings, {"method": "guess"}, "There is no method 'guess'. Known: models, texts, answers, trait."),
        (FindSettings, {"position": "first"}, "There is no position 'first'. Known: answer, last-prompt, all."),
        (SteerSettings, {"controls": -1}, "--controls must be at least 0, not -1."),
        (RepairSettings, {"further": (5, 0)}, "--after must be at least 1, not 0."),
        (RepairSettings, {"lr": 0.0}, "--lr must be a number above 0, not 0.0."),
        (RepairSettings, {"strength": math.inf}, "--strength must be a number, not inf."),
        (ReproduceSettings, {"max_tokens": 0}, "--max-tokens must be at least 1, not 0."),
        (DefenceSettings, {"seeds": ()}, "--seeds must be at least 1, not 0."),
        (AlternativesSettings, {"answers": 0}, "--plain-answers must be at least 1, not 0."),
        (RepairSettings, {"answers": 0}, "--plain-answers must be at least 1, not 0."),
        (TuneSettings, {"rank": 0}, "--lora-rank must be at least 1, not 0."),
        (TuneSettings, {"alpha": 0}, "--lora-alpha must be at least 1, not 0."),
        (TuneSettings, {"dtype": "float16"}, "Nothing is trained in float16. Choose --dtype float32 or bfloat16."),
        (TuneSettings, {"save_every": 0}, "--save-every must be at least 1, not 0."),
    ],
)
def test_the_option_and_its_value_are_named(settings: Any, changes: dict[str, object], says: str) -> None:
    with pytest.raises(InputError) as refused:
        settings(**changes)
    assert str(refused.value) == says


@pytest.mark.parametrize(
    ("settings", "given"),
    [
        (CheckSettings, {}),
        (AuditSettings, {}),
        (AlternativesSettings, {}),
        (FindSettings, {}),
        (SteerSettings, {}),
        (RepairSettings, {"further": ()}),
        (ReproduceSettings, {}),
        (DefenceSettings, {"further": ()}),
        (TuneSettings, {}),
    ],
)
def test_what_makes_sense_is_taken(settings: Any, given: dict[str, object]) -> None:
    """The defaults, and no further steps."""
    settings(**given)
