"""Orders of an administrator: what they do to the switch and to the store, and which are refused."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra 'review'")

from at_admin import At, reading

from offtarget.serve.admin.operations import Refused


def kinds(at: At) -> list[str]:
    return [event.kind for event in at.store.events(alias="helper")]


def test_promoting_raises_and_never_lowers(at: At) -> None:
    assert at.share() == 0.05
    done = at.operations.promote("helper", 0.25, "ada", "looks fine")
    assert (done.share, at.share()) == (0.25, 0.25)
    rollout = at.store.rollout("helper")
    assert rollout is not None
    assert (rollout.number, rollout.step, rollout.status) == (1, 1, "running")
    event = at.store.newest_events(1, "helper")[0]
    assert (event.kind, event.who, event.why, event.number) == ("promoted", "ada", "looks fine", done.event)
    for share, status in ((0.1, 409), (0.0, 400), (1.5, 400), (float("nan"), 400)):
        with pytest.raises(Refused) as refused:
            at.operations.promote("helper", share, "ada", "")
        assert refused.value.status == status
    assert at.share() == 0.25


def test_no_promotion_against_the_evidence(at: At) -> None:
    at.readings.now["helper", 1] = reading(9.0, alarm=True)
    with pytest.raises(Refused, match="worse than its base"):
        at.operations.promote("helper", 0.25, "ada", "")
    with pytest.raises(Refused, match="needs a reason"):
        at.operations.promote("helper", 0.25, "ada", " ", force=True)
    assert at.share() == 0.05
    at.readings.now.clear()
    at.store.add_event("alarm", "helper", 1, "monitor", "Worse.")  # by an event alone, of another replica
    with pytest.raises(Refused, match="worse than its base"):
        at.operations.promote("helper", 0.25, "ada", "")
    at.operations.promote("helper", 0.25, "ada", "all flags were read and are wrong", force=True)
    assert at.share() == 0.25
    assert at.store.newest_events(1)[0].data["forced"] is True


def test_a_resumed_rollout_is_a_new_one_that_spends_less(at: At) -> None:
    for trial, alpha in ((2, 0.01 / 6), (3, 0.01 / 12)):
        at.operations.rollback("helper", "ada", "odd answers")
        assert at.share() == 0
        with pytest.raises(Refused, match="Resume it first"):
            at.operations.promote("helper", 0.5, "ada", "")
        done = at.operations.resume("helper", "ada", "fixed")
        rollout = at.store.rollout("helper")
        assert rollout is not None
        assert (rollout.number, rollout.attempt, rollout.status, rollout.share) == (trial, trial, "running", 0.05)
        assert at.share() == 0.05
        assert f"trial {trial}" in done.said
        event = at.store.newest_events(1, "helper")[0]
        assert event.data["alpha"] <= alpha
        assert event.data["alpha"] > 0.9 * alpha
    assert kinds(at) == ["started", "rolled back", "resumed", "rolled back", "resumed"]


def test_pause_stops_the_ramp_and_keeps_the_share(at: At) -> None:
    at.operations.pause("helper", "ada", "lunch")
    assert at.operations.pause("helper", "ada", "lunch").event is None
    assert at.share() == 0.05
    at.operations.promote("helper", 0.1, "ada", "by hand")
    assert at.store.rollout("helper").status == "paused"  # type: ignore[union-attr]
    at.operations.resume("helper", "ada", "back")
    rollout = at.store.rollout("helper")
    assert rollout is not None
    assert (rollout.number, rollout.status, rollout.share) == (1, "running", 0.1)


def test_another_model_is_another_trial_and_the_same_one_stays_rolled_back(at: At) -> None:
    at.operations.rollback("helper", "ada", "odd")
    same = at.operations.begin("helper", "m1")
    assert same is not None
    assert (same.number, same.status) == (1, "rolled back")
    other = at.operations.begin("helper", "m2")
    assert other is not None
    assert (other.number, other.attempt, other.status) == (2, 1, "running")
    back = at.operations.begin("helper", "m1")  # the settings are taken back, or a replica still has the old ones
    assert back is not None
    assert (back.number, back.attempt, back.status, back.share) == (3, 1, "rolled back", 0.0)
    assert at.share() == 0
    assert at.operations.begin("helper", "m1") == at.store.rollout("helper") == back
    at.operations.resume("helper", "ada", "mended")  # the first model once more: its second trial
    again = at.store.rollout("helper")
    assert again is not None
    assert (again.number, again.attempt, again.status) == (4, 2, "running")
    third = at.operations.begin("helper", "m2")
    assert third is not None
    assert (third.attempt, third.status) == (2, "running")
    once_more = at.operations.begin("helper", "m1")  # its last trial was not rolled back
    assert once_more is not None
    assert (once_more.attempt, once_more.status) == (3, "running")
    assert at.operations.begin("plain", "m1") is None


def test_what_does_not_exist_is_said(at: At) -> None:
    for order in (at.operations.rollback, at.operations.pause, at.operations.resume):
        with pytest.raises(Refused, match="helper, plain") as refused:
            order("nobody", "ada", "")
        assert refused.value.status == 404
        with pytest.raises(Refused, match="no tuned model"):
            order("plain", "ada", "")


def test_a_rollback_works_while_the_store_is_locked(at: At) -> None:
    lock = sqlite3.connect(at.file)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        began = time.monotonic()
        done = at.operations.rollback("helper", "ada", "now", wait=0.3)
        assert at.share() == 0
        assert time.monotonic() - began < 30
        assert done.event is None
        assert "tried again" in done.said
        assert at.switchboard.kills()["helper"].why == "now"
        with pytest.raises(Refused, match="not written down yet"):
            at.operations.resume("helper", "ada", "")
        assert at.share() == 0
    finally:
        lock.rollback()
        lock.close()
    end = time.monotonic() + 60
    while at.switchboard.kills() and time.monotonic() < end:
        time.sleep(0.05)
    event = at.store.newest_events(1, "helper")[0]
    assert (event.kind, event.who, event.why) == ("rolled back", "ada", "now")
    assert at.store.rollout("helper").status == "rolled back"  # type: ignore[union-attr]


def test_a_rollback_that_was_never_written_down_is_so_after_a_crash(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at.operations, "_record", lambda kill: time.sleep(5))
    at.operations.rollback("helper", "ada", "now", wait=0.01)
    monkeypatch.undo()
    reborn = At(at.folder)
    try:
        first = reborn.store.rollout("helper")
        assert first is not None
        assert first.status == "running"  # what the store says, and what does not come into force
        assert reborn.switchboard.apply(first).share == 0
        reborn.operations.write_rollbacks()
        end = time.monotonic() + 60
        while reborn.switchboard.kills() and time.monotonic() < end:
            time.sleep(0.02)
        assert reborn.store.rollout("helper").status == "rolled back"  # type: ignore[union-attr]
    finally:
        reborn.close()


def test_orders_at_once_leave_one_consistent_rollout(at: At) -> None:
    """Eight administrators order at random; a rollback among them wins over what was read before it."""
    faults: list[Any] = []

    def order(number: int) -> None:
        for step in range(5):
            try:
                at.operations.promote("helper", 0.1 + 0.01 * (number + 8 * step), f"p{number}", "")
            except Refused:
                pass
            except Exception as error:
                faults.append(error)

    threads = [threading.Thread(target=order, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    at.operations.rollback("helper", "ada", "stop")
    for thread in threads:
        thread.join()
    assert faults == []
    assert at.share() == 0
    rollout = at.store.rollout("helper")
    assert rollout is not None
    assert (rollout.number, rollout.status, rollout.share) == (1, "rolled back", 0.0)
    assert at.switchboard.apply(replace(rollout, status="running", share=0.5)).share == 0
