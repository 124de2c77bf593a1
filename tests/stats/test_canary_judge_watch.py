"""A judge that changed told apart from a model that changed, both ways."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import exceeds

from offtarget.errors import InputError
from offtarget.records.canary import JudgeWatchSettings
from offtarget.stats.canary import JudgeWatch, action
from offtarget.stats.canary.judge_watch import scores_to_detect

KINDS = ("flagged", "not flagged")


def watched(rng: np.random.Generator, disagrees: float = 0.02, **chosen: object) -> JudgeWatch:
    """A watch whose judge has been calibrated."""
    watch = JudgeWatch(JudgeWatchSettings(**chosen))  # type: ignore[arg-type]
    score(watch, rng, watch.settings.calibrate, disagrees, disagrees)
    return watch


def score(watch: JudgeWatch, rng: np.random.Generator, count: int, flagged: float, unflagged: float) -> None:
    """Anchors of both kinds, scored again by a judge that disagrees in these shares."""
    for _ in range(count):
        for kind, disagrees in zip(KINDS, (flagged, unflagged), strict=True):
            watch.anchor(kind, agrees=bool(rng.random() >= disagrees))


@pytest.mark.long
def test_a_judge_that_stays_as_it_is_is_not_blamed() -> None:
    """5 % in place of 1 % to see more of it; 100 watches, 200 anchors of each kind."""
    blamed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        watch = watched(rng, 0.03, alpha=0.05, calibrate=60)
        score(watch, rng, 200, 0.03, 0.03)
        blamed += watch.reading().drifted
    assert not exceeds(blamed, 100, 0.05)


def test_an_alarm_with_a_quiet_judge_is_the_systems() -> None:
    rng = np.random.default_rng(1)
    watch = watched(rng)
    watch.canary_alarm()
    assert watch.reading().attribution == "neither yet"
    assert watch.reading().guard_left == 250
    score(watch, rng, 249, 0.02, 0.02)
    assert watch.reading().attribution == "neither yet"
    score(watch, rng, 1, 0.02, 0.02)
    assert watch.reading().attribution == "system"


@pytest.mark.parametrize("before", [True, False], ids=["before the alarm", "within the guard window"])
def test_an_alarm_of_a_stricter_judge_is_the_judges(before: bool) -> None:
    """It flags a quarter of what it did not flag; what it flagged it flags again."""
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        watch = watched(rng)
        if before:
            score(watch, rng, 250, 0.02, 0.25)
            watch.canary_alarm()
        else:
            watch.canary_alarm()
            score(watch, rng, 250, 0.02, 0.25)
        seen += watch.reading().attribution == "judge"
    assert seen >= 38


def test_an_attribution_stays() -> None:
    rng = np.random.default_rng(2)
    watch = watched(rng)
    watch.canary_alarm()
    score(watch, rng, 250, 0.02, 0.02)
    score(watch, rng, 200, 0.5, 0.5)
    assert watch.reading().attribution == "system"
    assert watch.reading().drifted


def test_a_judge_that_was_not_calibrated_clears_nobody() -> None:
    watch = JudgeWatch()
    watch.canary_alarm()
    score(watch, np.random.default_rng(1), 299, 0.0, 0.0)
    reading = watch.reading()
    assert (reading.ready, reading.attribution) == (False, "neither yet")


def test_a_judge_that_often_disagrees_with_itself_has_a_longer_guard() -> None:
    rng = np.random.default_rng(3)
    watch = watched(rng, 0.3, guard=10, calibrate=60)
    watch.canary_alarm()
    assert (watch.reading().guard_left or 0) > 10


def test_what_a_canary_does() -> None:
    rng = np.random.default_rng(4)
    quiet, changed = watched(rng), watched(rng)
    score(changed, rng, 100, 0.6, 0.6)
    as_it_was, drifted = quiet.reading(), changed.reading()
    assert action(None, as_it_was, confirmed=False) == "go on"
    assert action(None, None, confirmed=False) == "go on"
    assert action("rollout", as_it_was, confirmed=False) == "roll back"
    assert action("late change", None, confirmed=False) == "roll back"
    assert action("rollout", drifted, confirmed=False) == "freeze"
    assert action(None, drifted, confirmed=False) == "freeze"
    assert action("rollout", drifted, confirmed=True) == "roll back"


@settings(max_examples=50, deadline=None)
@given(
    scores=st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), max_size=80),
    cut=st.integers(0, 80),
    alarm=st.integers(0, 80),
)
def test_a_saved_watch_goes_on_to_the_last_bit(scores: list[tuple[str, bool]], cut: int, alarm: int) -> None:
    chosen = JudgeWatchSettings(calibrate=5, guard=5)
    whole, part = JudgeWatch(chosen), JudgeWatch(chosen)
    for i, (kind, agrees) in enumerate(scores):
        if i == alarm:
            whole.canary_alarm()
            part.canary_alarm()
        if i == cut:
            part = JudgeWatch.from_state(json.loads(json.dumps(part.state())))
        whole.anchor(kind, agrees=agrees)
        part.anchor(kind, agrees=agrees)
    assert part.state() == whole.state()
    assert part.reading() == whole.reading()


def test_the_plan_grows_as_the_change_shrinks() -> None:
    chosen = JudgeWatchSettings()
    takes = [scores_to_detect(chosen, disagrees, 0.03) for disagrees in (0.5, 0.2, 0.1)]
    assert takes == sorted(takes, key=lambda n: n or 0)
    assert scores_to_detect(chosen, 0.02, 0.03) is None


def test_anchors_of_unknown_kinds_are_refused() -> None:
    with pytest.raises(InputError, match="no kind 'other'"):
        JudgeWatch().anchor("other", agrees=True)
    with pytest.raises(InputError, match="each once"):
        JudgeWatchSettings(strata=("a", "a"))
    with pytest.raises(InputError, match="Rebuild it"):
        JudgeWatch.from_state({})
