"""Values of the tuned model that are larger than the base's: seconds, tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest
from simulation import exceeds

from offtarget.errors import InputError
from offtarget.records.canary import OrderTestSettings
from offtarget.stats.canary import OrderTest


def fed(times: float, blocks: int, seed: int, **chosen: object) -> OrderTest:
    """Log-normal times; those of tuned are `times` as long."""
    test = OrderTest(OrderTestSettings(calibrate=100, **chosen))  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    for value in rng.lognormal(size=100):
        test.add("base", value)
    for _ in range(blocks):
        test.add("tuned", times * rng.lognormal())
        for value in rng.lognormal(size=test.settings.base_per_tuned):
            test.add("base", value)
    return test


@pytest.mark.long
def test_equal_and_shorter_times_are_no_alarm() -> None:
    alarms = sum(fed(1.0, 100, seed, alpha=0.05).alarm is not None for seed in range(40))
    assert not exceeds(alarms, 40, 0.05 + 100 / 1e6)
    assert fed(0.3, 300, 1).alarm is None


def test_longer_times_are() -> None:
    assert sum(fed(2.0, 150, seed).alarm == "rollout" for seed in range(10)) >= 9


def test_the_factor_is_allowed() -> None:
    assert fed(1.5, 300, 1, factor=1.5).alarm is None
    assert fed(4.0, 150, 1, factor=1.5).alarm == "rollout"


def test_smaller_can_be_worse() -> None:
    """Answers that got shorter."""
    assert fed(0.4, 200, 1, direction="smaller").alarm == "rollout"
    assert fed(2.0, 200, 1, direction="smaller").alarm is None


def test_only_the_tail_got_longer() -> None:
    """One answer in ten hangs; the median is as it was."""
    test = OrderTest(OrderTestSettings(calibrate=200))
    rng = np.random.default_rng(1)
    for value in rng.lognormal(size=200):
        test.add("base", value)
    for _ in range(200):
        test.add("tuned", 60.0 if rng.random() < 0.1 else rng.lognormal())
        for value in rng.lognormal(size=4):
            test.add("base", value)
    assert test.alarm == "rollout"
    median, _, tail = test.reading().beyond
    assert median.alarm is None
    assert tail.alarm == "rollout"


def test_limits_are_those_of_the_bases_first_values() -> None:
    test = OrderTest(OrderTestSettings(calibrate=10, top_shares=(0.5,)))
    for value in range(10):
        assert test.reading().limits == ()
        test.add("tuned", 100.0)
        test.add("base", float(value))
    assert test.reading().limits == (5.0,)


def test_a_saved_test_of_values_goes_on_to_the_last_bit() -> None:
    for blocks in (0, 7):
        test = fed(1.2, blocks, 3)
        again = OrderTest.from_state(json.loads(json.dumps(test.state())))
        for each in (test, again):
            for role in ("tuned", "base", "base", "base", "base"):
                each.add(role, 3.0)  # type: ignore[arg-type]
        assert again.state() == test.state()
        assert again.reading() == test.reading()


def test_values_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="no value"):
        OrderTest().add("base", float("nan"))
    with pytest.raises(InputError, match="factor"):
        OrderTestSettings(factor=0)
    with pytest.raises(InputError, match="limits"):
        OrderTestSettings(top_shares=(0.5, 0.5))
    with pytest.raises(InputError, match="Rebuild it"):
        OrderTest.from_state({})
