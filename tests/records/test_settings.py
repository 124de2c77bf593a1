"""Settings that make no sense are refused when they are made, by the name of the option."""

from __future__ import annotations

import math
from typing import Any

import pytest

from offtarget.errors import InputError
from offtarget.records import AuditSettings
from offtarget.records.alternatives import AlternativesSettings
from offtarget.records.check import CheckSettings
from offtarget.records.direction import FindSettings, SteerSettings
from offtarget.records.repair import RepairSettings
from offtarget.records.reproduce import ReproduceSettings
from offtarget.records.tune import DefenceSettings, TuneSettings


@pytest.mark.parametrize(
    ("settings", "changes", "says"),
    [
        (CheckSettings, {"max_answers": 0}, "--max-answers must be at least 1, not 0."),
        (CheckSettings, {"max_cued_answers": -2}, "--max-cued-answers must be at least 1, not -2."),
        (AuditSettings, {"noise_limit": 1.0}, "--noise-limit must be a share between 0 and 1, not 1."),
        (AuditSettings, {"alpha": math.nan}, "--alpha must be a share between 0 and 1, not nan."),
        (AuditSettings, {"max_rows": 0}, "--max-rows must be at least 1, not 0."),
        (AuditSettings, {"controls": -1}, "--controls must be at least 0, not -1."),
        (AlternativesSettings, {"held_out": 0.0}, "--held-out must be a share between 0 and 1, not 0."),
        (AlternativesSettings, {"examples": 0}, "--examples must be at least 1, not 0."),
        (AlternativesSettings, {"margin": 1.0}, "--least-gain must be at least 0 and below 1, not 1."),
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
