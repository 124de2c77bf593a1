"""The test of a canary, answer by answer: what it remembers, refuses and says."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records.canary import CanaryReading, CanaryTestSettings
from offtarget.records.from_json import from_json
from offtarget.stats.canary import CanaryTest

Row = tuple[str, bool]


def fed(rows: list[Row], **chosen: object) -> CanaryTest:
    """A test that was fed rows (model, flagged)."""
    test = CanaryTest(CanaryTestSettings(**chosen))  # type: ignore[arg-type]
    for role, flagged in rows:
        test.add(role, test.kind_of(role, flagged))  # type: ignore[arg-type]
    return test


def drawn(tuned: float, base: float, blocks: int, ratio: int = 4, seed: int = 1) -> list[Row]:
    """Rows of whole blocks, each tuned answer before its base answers."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(blocks):
        rows += [("tuned", bool(rng.random() < tuned)), *(("base", bool(x)) for x in rng.random(ratio) < base)]
    return rows


rows_of = st.lists(st.tuples(st.sampled_from(["tuned", "base"]), st.booleans()), max_size=120)


def test_a_bad_model_is_caught_and_the_alarm_stays() -> None:
    test = fed(drawn(0.3, 0.01, 60), base_per_tuned=4)
    reading = test.reading()
    assert reading.alarm == "rollout"
    assert reading.verdict == "worse"
    assert reading.alarm_at is not None
    assert reading.alarm_at < 60
    for row in drawn(0.0, 0.3, 200):
        test.add(row[0], test.kind_of(*row))  # type: ignore[arg-type]
    after = test.reading()
    assert after.e_rollout < reading.rollout_threshold
    assert (after.alarm, after.alarm_at) == (reading.alarm, reading.alarm_at)


def test_a_clean_model_may_be_promoted_once_enough_is_known() -> None:
    early, late = fed(drawn(0.0, 0.01, 100), base_per_tuned=4), fed(drawn(0.0, 0.01, 400), base_per_tuned=4)
    assert early.reading().verdict == "no verdict yet"
    assert late.reading().verdict == "not worse"
    assert late.reading().less_than <= 0.02


def test_a_change_after_a_clean_time_is_found() -> None:
    test = fed([*drawn(0.01, 0.01, 3000), *drawn(0.2, 0.01, 60, seed=2)], base_per_tuned=4)
    assert test.reading().alarm == "late change"
    assert 3000 < (test.reading().alarm_at or 0) <= 3060


@settings(max_examples=60, deadline=None)
@given(rows=rows_of, cut=st.integers(0, 120))
def test_a_saved_test_goes_on_to_the_last_bit(rows: list[Row], cut: int) -> None:
    whole = fed(rows, base_per_tuned=2)
    part = fed(rows[:cut], base_per_tuned=2)
    again = CanaryTest.from_state(json.loads(json.dumps(part.state())))
    assert again.state() == part.state()
    for role, flagged in rows[cut:]:
        again.add(role, again.kind_of(role, flagged))  # type: ignore[arg-type]
    assert again.state() == whole.state()
    assert again.reading() == whole.reading()


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.booleans(), min_size=5, max_size=60), order=st.randoms(use_true_random=False))
def test_the_order_of_the_models_within_blocks_does_not_matter(rows: list[bool], order: object) -> None:
    blocks = [rows[i : i + 5] for i in range(0, len(rows) - 4, 5)]
    one, other = CanaryTest(CanaryTestSettings(base_per_tuned=4)), CanaryTest(CanaryTestSettings(base_per_tuned=4))
    for block in blocks:
        answers: list[Row] = [("tuned", block[0]), *(("base", flagged) for flagged in block[1:])]
        for role, flagged in answers:
            one.add(role, one.kind_of(role, flagged))  # type: ignore[arg-type]
        order.shuffle(answers)  # type: ignore[attr-defined]
        for role, flagged in answers:
            other.add(role, other.kind_of(role, flagged))  # type: ignore[arg-type]
    assert one.state() == other.state()


@pytest.mark.parametrize("rows", [[], [("tuned", True)], drawn(1.0, 0.0, 400)], ids=["nothing", "waiting", "all bad"])
def test_a_reading_is_plain_json_and_comes_back(rows: list[Row]) -> None:
    reading = fed(rows, base_per_tuned=4).reading()
    written = json.dumps(dataclasses.asdict(reading), allow_nan=False)
    assert from_json(CanaryReading, json.loads(written)) == reading
    assert reading.e_rollout >= 0


@settings(max_examples=60, deadline=None)
@given(rows=rows_of)
def test_nothing_said_is_out_of_range(rows: list[Row]) -> None:
    reading = fed(rows, base_per_tuned=2).reading()
    assert reading.e_rollout >= 0
    assert reading.e_change >= 0
    assert -1 <= reading.at_least <= reading.less_than <= 1
    for arm in (reading.tuned, reading.base):
        assert 0 <= arm.low <= arm.high <= 1
        assert arm.rate is None or arm.low <= arm.rate <= arm.high
    for role in ("tuned", "base"):
        arm = getattr(reading, role)
        assert arm.answers + arm.waiting + arm.unused == sum(r == role for r, _ in rows)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"alpha": 5}, "alpha"),
        ({"alpha": 0.05}, "bound-alpha"),
        ({"tolerance": 0.03}, "margin"),
        ({"streams": {"organic": 0.4}}, "streams"),
        ({"base_per_tuned": 0}, "base-per-tuned"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=what):
        CanaryTestSettings(**change)  # type: ignore[arg-type]


def test_answers_that_cannot_count_are_refused() -> None:
    test = CanaryTest()
    with pytest.raises(InputError, match="no stream 'probes'"):
        test.add("tuned", 0, "probes")
    with pytest.raises(InputError, match="no kind of a base answer"):
        test.add("base", 0)
    with pytest.raises(InputError, match="Set confirm"):
        test.kind_of("tuned", True, "misaligned")
    confirmed = CanaryTest(CanaryTestSettings(confirm=True))
    with pytest.raises(InputError, match="without a rating"):
        confirmed.kind_of("tuned", True)
    with pytest.raises(InputError, match="one-sided"):
        confirmed.kind_of("tuned", False, "misaligned")


def test_a_state_that_is_none_is_refused() -> None:
    state = CanaryTest().state()
    for broken in ({}, {**state, "version": 99}, {**state, "streams": {}}):
        with pytest.raises(InputError, match="Rebuild it"):
            CanaryTest.from_state(broken)
