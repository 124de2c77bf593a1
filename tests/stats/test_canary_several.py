"""Streams and metrics together: one bound for all of them, and names for what it is about."""

from __future__ import annotations

import json

import numpy as np
import pytest

from offtarget.errors import InputError
from offtarget.records.canary import ORGANIC, PROBES, CanaryTestSettings
from offtarget.stats.canary import CanaryTest, CanaryTests

BOTH = {ORGANIC: 0.5, PROBES: 0.5}


def feed(test: CanaryTest, stream: str, tuned: float, base: float, blocks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(blocks):
        test.add("tuned", 1 - int(rng.random() < tuned), stream)
        for flagged in rng.random(test.settings.base_per_tuned) < base:
            test.add("base", 3 - int(flagged), stream)


def test_streams_are_averaged_and_one_that_is_silent_costs_its_weight() -> None:
    one = CanaryTest(CanaryTestSettings(base_per_tuned=4))
    two = CanaryTest(CanaryTestSettings(base_per_tuned=4, streams=BOTH))
    feed(one, ORGANIC, 0.1, 0.01, 100, 1)
    feed(two, ORGANIC, 0.1, 0.01, 100, 1)
    assert two.log_e_rollout == pytest.approx(np.log(0.5 * np.exp(one.log_e_rollout) + 0.5))
    assert two.log_e_change == pytest.approx(one.log_e_change + np.log(0.5))


def test_probes_find_what_organic_traffic_does_not_show() -> None:
    test = CanaryTest(CanaryTestSettings(base_per_tuned=4, streams=BOTH))
    feed(test, ORGANIC, 0.01, 0.01, 200, 2)
    assert test.alarm is None
    feed(test, PROBES, 0.3, 0.01, 60, 3)
    reading = test.reading()
    assert reading.alarm == "rollout"
    organic, probes = reading.streams
    assert organic.log_e_rollout < 0 < probes.log_e_rollout


def test_nothing_is_promoted_while_a_stream_shows_nothing() -> None:
    test = CanaryTest(CanaryTestSettings(base_per_tuned=4, streams=BOTH))
    feed(test, ORGANIC, 0.0, 0.01, 500, 4)
    assert test.reading().verdict == "no verdict yet"
    feed(test, PROBES, 0.0, 0.01, 500, 5)
    assert test.reading().verdict == "not worse"


def three() -> CanaryTests:
    chosen = CanaryTestSettings(base_per_tuned=4)
    return CanaryTests(
        {"misaligned": chosen, "refused": chosen, "gibberish": chosen},
        {"misaligned": 0.6, "refused": 0.2, "gibberish": 0.2},
    )


def feed_metric(tests: CanaryTests, metric: str, tuned: float, blocks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(blocks):
        tests.add(metric, "tuned", 1 - int(rng.random() < tuned))
        for flagged in rng.random(4) < 0.01:
            tests.add(metric, "base", 3 - int(flagged))


def test_the_metric_that_is_worse_is_named() -> None:
    tests = three()
    for seed, metric in enumerate(("misaligned", "gibberish")):
        feed_metric(tests, metric, 0.01, 100, seed)
    feed_metric(tests, "refused", 0.3, 100, 7)
    reading = tests.reading()
    assert reading.alarm == "rollout"
    assert reading.named == ("refused",)
    assert reading.metrics["refused"].verdict == "worse"
    assert reading.metrics["misaligned"].alarm is None


def test_a_metric_alone_does_not_spend_the_error_of_all() -> None:
    """Its own e-value of 100 is 20 of the average; only 500 are an alarm."""
    tests = three()
    rng = np.random.default_rng(3)
    while tests.tests["refused"].log_e_rollout < np.log(100):
        tests.add("refused", "tuned", 1 - int(rng.random() < 0.1))
        for _ in range(4):
            tests.add("refused", "base", 3)
    own = tests.tests["refused"].log_e_rollout
    assert (tests.alarm is not None) == (0.2 * np.exp(own) + 0.8 >= 100)


def test_together_they_come_back_as_they_were() -> None:
    tests = three()
    feed_metric(tests, "refused", 0.3, 40, 7)
    again = CanaryTests.from_state(json.loads(json.dumps(tests.state())))
    assert again.state() == tests.state()
    assert again.reading() == tests.reading()
    for each in (tests, again):
        feed_metric(each, "misaligned", 0.3, 40, 8)
    assert again.state() == tests.state()


def test_what_makes_no_sense_together_is_refused() -> None:
    with pytest.raises(InputError, match="share one alpha"):
        CanaryTests({"a": CanaryTestSettings(), "b": CanaryTestSettings(alpha=0.02)})
    with pytest.raises(InputError, match="needs a weight"):
        CanaryTests({"a": CanaryTestSettings()}, {"b": 1.0})
    with pytest.raises(InputError, match="sum to 1"):
        CanaryTests({"a": CanaryTestSettings()}, {"a": 0.5})
    with pytest.raises(InputError, match="no metric 'c'"):
        three().add("c", "tuned", 0)


def test_the_plan_is_near_what_it_takes() -> None:
    """Half of the rollouts are done by about then; and what has been seen counts."""
    settings = CanaryTestSettings(base_per_tuned=4)
    planned = CanaryTest(settings).answers_to_go(0.1, base_rate=0.01)
    assert planned is not None
    took = []
    for seed in range(40):
        test, rng, n = CanaryTest(settings), np.random.default_rng(seed), 0
        while test.alarm is None:
            n += 1
            test.add("tuned", 1 - int(rng.random() < 0.1))
            for flagged in rng.random(4) < 0.01:
                test.add("base", 3 - int(flagged))
        took.append(n)
    assert 0.6 < planned / np.median(took) < 1.7
    begun = CanaryTest(settings)
    feed(begun, ORGANIC, 1.0, 0.0, 3, 1)
    left = begun.answers_to_go(0.1, base_rate=0.01)
    assert left is not None
    assert left < planned
    assert CanaryTest(settings).answers_to_go(0.01, base_rate=0.01) is None
