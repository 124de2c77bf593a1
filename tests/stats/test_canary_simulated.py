"""Errors of the canary by simulation; what benchmarks/canary_detection.py reports is what the shipped test does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from simulation import exceeds

from offtarget.records.canary import CanaryTestSettings
from offtarget.stats.canary import CanaryTest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from canary_worlds import Fleet, Judge, after, varying, world

ERRING = Judge(finds=0.8, false_base=0.02, false_tuned=0.05)


@pytest.mark.parametrize(
    "chosen",
    [{}, {"base_per_tuned": 4, "tolerance": 0.01}, {"confirm": True, "look_at": 0.1}, {"confirm": True}],
    ids=str,
)
def test_many_rollouts_at_once_are_what_the_test_does_answer_by_answer(chosen: dict[str, object]) -> None:
    settings = CanaryTestSettings(**chosen)  # type: ignore[arg-type]
    draw = world(settings, 2, 0.06, 0.01, ERRING if settings.confirm else None)
    fleet = Fleet(settings, 2)
    fleet.feed(draw, 400, np.random.default_rng(5))
    kinds, counts = draw(0, 400, np.random.default_rng(5))
    first_base = len(fleet.kinds) - counts.shape[-1]
    for run in range(2):
        test = CanaryTest(settings)
        for n in range(400):
            test.add("tuned", int(kinds[run, n]))
            for offset, count in enumerate(counts[run, n]):
                for _ in range(count):
                    test.add("base", first_base + offset)
        assert test.log_e_rollout == pytest.approx(np.logaddexp.reduce(fleet.wealth[run]))
        assert test.log_e_change == pytest.approx(np.log(fleet.change[run].sum()))
        assert (test.reading().alarm_at or np.iinfo(int).max) == fleet.first()[run]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_false_alarms_of_a_rollout_stay_below_alpha(rate: float) -> None:
    """Both models alike, a look after every block: 5 % in place of 1 % to see more of it."""
    settings = CanaryTestSettings(alpha=0.05, bound_alpha=0.1, base_per_tuned=4)
    fleet = Fleet(settings, 400)
    fleet.feed(world(settings, 400, rate, rate), 3000, np.random.default_rng(1))
    assert not exceeds(int((fleet.rollout_at > 0).sum()), 400, 0.05)


def test_traffic_that_changes_for_both_models_is_no_alarm() -> None:
    """Nights are ten times as bad as days; the tuned model is as bad as the base at each hour."""
    settings = CanaryTestSettings(alpha=0.05, bound_alpha=0.1, base_per_tuned=4)
    rates = lambda n: np.where(n // 200 % 2 == 0, 0.01, 0.1)  # noqa: E731
    fleet = Fleet(settings, 400)
    fleet.feed(varying(settings, 400, rates, rates), 3000, np.random.default_rng(2))
    assert not exceeds(int((fleet.rollout_at > 0).sum()), 400, 0.05)


def test_a_model_at_the_tolerance_is_no_alarm() -> None:
    settings = CanaryTestSettings(alpha=0.05, bound_alpha=0.1, base_per_tuned=4, tolerance=0.01)
    fleet = Fleet(settings, 400)
    fleet.feed(world(settings, 400, 0.02, 0.01), 3000, np.random.default_rng(3))
    assert not exceeds(int((fleet.rollout_at > 0).sum()), 400, 0.05)


def test_a_judge_that_errs_more_on_tuned_alarms_alone_and_not_with_confirmation() -> None:
    alone, confirmed = CanaryTestSettings(base_per_tuned=4), CanaryTestSettings(base_per_tuned=4, confirm=True)
    for settings, alarms in ((alone, True), (confirmed, False)):
        fleet = Fleet(settings, 100)
        fleet.feed(world(settings, 100, 0.01, 0.01, ERRING), 2000, np.random.default_rng(4))
        found = int((fleet.rollout_at > 0).sum())
        assert found > 90 if alarms else not exceeds(found, 100, 0.01)


@pytest.mark.parametrize("rate", [0.001, 0.05])
def test_late_alarms_come_no_sooner_than_the_run_length_says(rate: float) -> None:
    """Within n blocks with probability n / run length at most, 500 of 2,000 here; so the average is no shorter."""
    settings = CanaryTestSettings(base_per_tuned=4, run_length=2000)
    fleet = Fleet(settings, 400)
    fleet.feed(world(settings, 400, rate, rate), 500, np.random.default_rng(5))
    assert not exceeds(int((fleet.change_at > 0).sum()), 400, 0.25)


def test_the_run_length_holds_on_average() -> None:
    settings = CanaryTestSettings(base_per_tuned=4, run_length=300)
    fleet = Fleet(settings, 300)
    fleet.feed(world(settings, 300, 0.02, 0.02), 6000, np.random.default_rng(6))
    lasted = np.where(fleet.change_at > 0, fleet.change_at, 6000)
    assert lasted.mean() - 3 * lasted.std() / np.sqrt(300) >= 300


def test_bounds_hold_at_all_looks() -> None:
    """The share of rollouts in which a bound is ever on the wrong side, of the difference and of either rate."""
    settings = CanaryTestSettings(base_per_tuned=4)
    rng = np.random.default_rng(7)
    wrong = {"at_least": 0, "less_than": 0, "tuned": 0, "base": 0}
    runs = 50
    for _ in range(runs):
        test, seen = CanaryTest(settings), set()
        for n in range(200):
            test.add("tuned", 1 - int(rng.random() < 0.04))
            for flagged in rng.random(4) < 0.02:
                test.add("base", 3 - int(flagged))
            if n % 10 == 9:
                now = test.reading()
                seen |= {"at_least"} if now.at_least > 0.02 else set()
                seen |= {"less_than"} if now.less_than < 0.02 else set()
                seen |= {"tuned"} if not now.tuned.low <= 0.04 <= now.tuned.high else set()
                seen |= {"base"} if not now.base.low <= 0.02 <= now.base.high else set()
        for name in seen:
            wrong[name] += 1
    assert not exceeds(wrong["at_least"], runs, 0.05)
    assert not exceeds(wrong["less_than"], runs, 0.05)
    assert not exceeds(wrong["tuned"], runs, 0.1)
    assert not exceeds(wrong["base"], runs, 0.1)


def test_detection_takes_what_the_design_says() -> None:
    """Medians from 1 %, by the defaults; the targets were 20, 45 and 140, and twice that for late changes."""
    settings, runs = CanaryTestSettings(), 1200
    for rate, target in ((0.2, 20), (0.1, 45), (0.05, 150)):
        fleet = Fleet(settings, runs)
        fleet.feed(world(settings, runs, rate, 0.01), 1500, np.random.default_rng(8), until_all=True)
        assert np.median(fleet.first()) <= target
    fleet = Fleet(settings, 100)
    fleet.feed(after(settings, 3000, 0.1, 0.01, 100), 3400, np.random.default_rng(9))
    first = fleet.first()
    assert np.median(first[first > 3000]) - 3000 <= 2 * 45
