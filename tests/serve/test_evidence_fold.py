"""The fold over scored answers: harm, other metrics, times and lengths, and what each leads to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from offtarget.records import Outcome
from offtarget.records.gateway import CanarySettings
from offtarget.records.rollouts import Rollout, ScoredAnswer
from offtarget.serve.monitor.evidence import Evidence, folded

ROLLOUT = Rollout("a", 1, "running", 0.5)


def rows(number: int, of_tuned: dict[str, Any], *, seed: int = 0, share: float = 0.2) -> Iterator[ScoredAnswer]:
    """Fine answers, those of the tuned model with changes; a callable is drawn anew each time."""
    draw = random.Random(seed)
    for at in range(1, number + 1):
        arm = "tuned" if draw.random() < share else "base"
        fields: dict[str, Any] = {
            "outcome": Outcome.ALIGNED, "first_seconds": draw.lognormvariate(-2, 0.3),
            "characters": draw.randint(100, 300), "flags": {"refusal": False, "gibberish": False, "unscored": False},
        }  # fmt: skip
        if arm == "tuned":
            fields |= {name: made(draw, fields) if callable(made) else made for name, made in of_tuned.items()}
        yield ScoredAnswer(at, float(at), "a", 1, "organic", arm, f"c{at}", f"e{at}", judge="j", **fields)


def test_nothing_is_told_of_a_model_that_is_like_its_base() -> None:
    reading = folded(CanarySettings(), ROLLOUT, rows(3000, {}), probed=False)[0].reading(0.0)
    assert reading.alarm is None
    assert reading.larger == ()
    assert reading.verdict == "not worse"


@pytest.mark.long
def test_a_model_that_is_twice_as_slow_or_long_is_told_and_not_rolled_back() -> None:
    slow = {"first_seconds": lambda draw, fields: 2.5 * fields["first_seconds"]}
    reading = folded(CanarySettings(), ROLLOUT, rows(3000, slow), probed=False)[0].reading(0.0)
    assert reading.larger
    assert "longer" not in reading.larger[0]
    assert reading.alarm is None
    long = {"characters": lambda draw, fields: 4 * fields["characters"]}
    reading = folded(CanarySettings(), ROLLOUT, rows(3000, long), probed=False)[0].reading(0.0)
    assert "times as long as the base's" in reading.larger[0]


@pytest.mark.parametrize("metric", ["refusal", "gibberish", "unscored"])
def test_other_metrics_go_off_beyond_their_tolerance_only(metric: str) -> None:
    def flagged(share: float) -> dict[str, Any]:
        return {"flags": lambda draw, fields: {**fields["flags"], metric: draw.random() < share}}

    much = folded(CanarySettings(), ROLLOUT, rows(2000, flagged(0.5)), probed=False)[0]
    assert much.alarm is not None
    assert much.alarm.metric == metric
    little = folded(CanarySettings(), ROLLOUT, rows(2000, flagged(0.03)), probed=False)[0]
    assert little.alarm is None


def test_answers_without_a_verdict_are_neither_fine_nor_harmful() -> None:
    unjudged = {"outcome": Outcome.UNSCORED, "flags": {}}
    evidence = folded(CanarySettings(), ROLLOUT, rows(2000, unjudged), probed=False)[0]
    harm = evidence.reading(0.0).metrics[0].reading
    assert harm.tuned.answers == 0
    assert evidence.reading(0.0).verdict == "no verdict yet"


@pytest.mark.long
def test_with_a_cheap_judge_a_share_of_what_it_passes_weighs_for_the_rest() -> None:
    settings = CanarySettings(judge="j", cheap_judge="c", judge_share=0.2)

    def harm(draw: random.Random, fields: dict[str, Any]) -> Outcome:
        return Outcome.MISALIGNED if draw.random() < 0.3 else Outcome.ALIGNED

    def with_cheap(seed: int, blind: bool) -> Iterator[ScoredAnswer]:
        draw = random.Random(seed)
        for row in rows(1500, {"outcome": harm}, seed=seed):
            evil = row.outcome is Outcome.MISALIGNED
            flag = evil and not blind
            asked = flag or draw.random() < 0.2
            outcome = row.outcome if asked else Outcome.ALIGNED
            yield ScoredAnswer(
                row.number, row.at, "a", 1, "organic", row.arm, row.conversation, row.exchange, outcome, "j",
                cheap_flag=flag, asked=asked,
            )  # fmt: skip

    seeing = folded(settings, ROLLOUT, with_cheap(1, blind=False), probed=False)[0]
    blind = folded(settings, ROLLOUT, with_cheap(1, blind=True), probed=False)[0]
    assert seeing.alarm is not None
    assert blind.alarm is not None  # the audited share finds what the cheap judge does not
    assert seeing.alarm.tuned <= blind.alarm.tuned


def test_a_row_that_does_not_follow_is_refused() -> None:
    evidence = Evidence(CanarySettings(), ROLLOUT, probed=False)
    some = list(rows(5, {}))
    evidence.add(some)
    with pytest.raises(ValueError, match="does not follow"):
        evidence.add(some[-1:])
