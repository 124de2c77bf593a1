"""What goes wrong around a monitor: killed, its store locked, its judge gone, clocks that jump, traffic in bursts."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchanging import exchange
from monitored import Clock, a_monitor, begun, fed, says_evil, settings, traffic, until

from offtarget.judge.scripted import ScriptedJudge
from offtarget.records import Generation, Outcome, Probe
from offtarget.records.gateway import RampStep
from offtarget.records.rollouts import Rollout
from offtarget.serve.monitor.actions import DOUBT_SECONDS
from offtarget.serve.monitor.webhook import Webhook
from offtarget.serve.store.bodies import BodyKeeper
from offtarget.serve.store.sqlite import SqliteStore


def test_a_monitor_that_starts_again_comes_to_the_same_evidence(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    sent = list(traffic(600, 0.02, 0.02))
    first = a_monitor(chosen, store, name="one")
    fed(first, iter(sent[:300]))
    # killed: nothing is closed, its lease runs out or is taken by the same name
    second = a_monitor(chosen, store, name="one")
    fed(second, iter(sent[250:]))  # some exchanges come again
    whole = a_monitor(chosen, store, name="one")
    until(whole, lambda: (found := whole.watches["assistant"].evidence) is not None and found.folded >= 600)
    a, b = second.watches["assistant"].evidence, whole.watches["assistant"].evidence
    assert a is not None
    assert b is not None
    assert (a.log_e, a.log_change, a.folded) == (b.log_e, b.log_change, b.folded)
    assert a.reading(0.0) == b.reading(0.0)
    assert len(store.scored("assistant", 1, limit=2000)) == 600


def test_a_monitor_killed_between_alarm_and_rollback_rolls_back_at_its_next_start(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    dead = a_monitor(chosen, store, name="one")
    watch = dead.watches["assistant"]
    watch.decide = lambda lease: None  # type: ignore[method-assign]  # it dies before it acts
    fed(dead, traffic(400, 0.5, 0.0))
    assert store.rollout("assistant").status == "running"  # type: ignore[union-attr]
    again = a_monitor(chosen, store, name="one")
    until(again, lambda: store.rollout("assistant").status == "rolled back")  # type: ignore[union-attr]
    third = a_monitor(chosen, store, name="one")
    until(third, lambda: third.watches["assistant"].evidence is not None)
    for _ in range(20):
        third.round()
        time.sleep(0.01)
    assert [event.kind for event in store.events()].count("alarm") == 1


@pytest.mark.parametrize("cause", ["killed", "the store is locked"])
def test_an_alarm_is_told_with_its_evidence_though_the_rollback_came_first(cause: str, tmp_path: Path) -> None:
    """The rollback stands before the evidence is written down: what happens in between loses neither."""
    from offtarget.errors import StoreError

    chosen, bundles, told = settings(tmp_path), [], []
    store = begun(chosen)

    def bundle(*_: object) -> str:
        bundles.append(1)
        return "a-run"

    class Heard(Webhook):
        def tell(self, message: Mapping[str, Any]) -> None:
            told.append(message["event"])

    first = a_monitor(chosen, store, name="one", bundle=lambda alias: bundle, webhook=Heard(""))
    writes, failed = store.add_event, []

    def locked(kind: str, *rest: Any) -> Any:
        if kind == "alarm" and not failed:
            failed.append(kind)
            raise StoreError("state.sqlite is locked")
        return writes(kind, *rest)  # type: ignore[arg-type]

    store.add_event = locked  # type: ignore[method-assign, assignment]
    sent = list(traffic(400, 0.5, 0.0))
    for one in sent:
        first.put(one)
    until(first, lambda: bool(failed))
    assert store.rollout("assistant").status == "rolled back"  # type: ignore[union-attr]
    goes_on = (
        first
        if cause != "killed"
        else a_monitor(chosen, store, name="one", bundle=lambda alias: bundle, webhook=Heard(""))
    )
    until(goes_on, lambda: any(event.kind == "alarm" for event in store.events()))
    for _ in range(20):
        goes_on.round()
    events = store.events()
    assert [event.kind for event in events if event.kind in ("alarm", "rolled back")] == ["rolled back", "alarm"]
    alarm = next(event for event in events if event.kind == "alarm")
    assert (alarm.data["evidence"], alarm.data["did"]) == ("a-run", "rollback")
    assert alarm.why == next(event.why for event in events if event.kind == "rolled back")
    assert told == ["rolled back", "alarm"]
    assert store.rollout("assistant").status == "rolled back"  # type: ignore[union-attr]


def test_a_rollback_by_a_person_is_no_alarm_that_was_lost(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    before = store.rollout("assistant")
    assert before is not None
    store.set_rollout(replace(before, status="rolled back", share=0.0), before, "rolled back", "ann", "enough")
    monitor = a_monitor(chosen, store, name="one")
    fed(monitor, traffic(400, 0.5, 0.0))
    assert not [event for event in store.events() if event.kind == "alarm"]


def test_only_who_holds_the_lease_decides(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    lease = store.lease("monitor", "another", 600)
    assert lease is not None
    monitor = a_monitor(chosen, store, name="me")
    fed(monitor, traffic(300, 0.9, 0.0))
    assert store.rollout("assistant").status == "running"  # type: ignore[union-attr]
    store.give_up(lease)
    until(monitor, lambda: store.rollout("assistant").status == "rolled back")  # type: ignore[union-attr]


def test_a_locked_store_loses_nothing_that_was_scored(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    store.close()
    store = SqliteStore(tmp_path / "state.sqlite", BodyKeeper.of(chosen.state), wait_seconds=0.05)
    monitor = a_monitor(chosen, store)
    watch = monitor.watches["assistant"]
    fed(monitor, traffic(50, 0.0, 0.0))
    blocker = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for one in traffic(100, 0.0, 0.0, seed=1):
        monitor.put(one)
    until(monitor, lambda: monitor.store_errors > 0 and len(watch._rows) == 100, 60.0)
    assert watch.counts["written"] == 50
    blocker.execute("ROLLBACK")
    blocker.close()
    until(monitor, lambda: watch.counts["written"] == 150, 60.0)
    assert len(store.scored("assistant", 1, limit=1000)) == 150


def test_a_judge_that_is_down_holds_the_ramp_is_told_and_pauses_the_share_after_a_while(tmp_path: Path) -> None:
    broken = [True]

    def decide(probe: Probe, generation: Generation) -> Outcome:
        if broken[0]:
            raise RuntimeError
        return Outcome.ALIGNED

    chosen = settings(tmp_path, ramp=(RampStep(0.5),))
    store = begun(chosen)
    clock = Clock()
    monitor = a_monitor(chosen, store, ScriptedJudge(decide), pause=0.0, clock=clock)
    watch = monitor.watches["assistant"]

    def rounds(true: object) -> None:
        end = time.monotonic() + 60
        while not true():  # type: ignore[operator]
            assert time.monotonic() < end
            clock.time += 0.2
            monitor.round()

    for one in traffic(30, 0.0, 0.0):
        monitor.put(one)
    rounds(lambda: any(event.kind == "judge down" for event in store.events()))
    assert "no verdicts" in watch.reading().ramp_held  # type: ignore[union-attr]
    clock.time += DOUBT_SECONDS + 1
    rounds(lambda: store.rollout("assistant").status == "paused")  # type: ignore[union-attr]
    assert not any(row.outcome is Outcome.ALIGNED for row in store.scored("assistant", 1, limit=20))
    broken[0] = False
    for one in traffic(5, 0.0, 0.0, seed=3):
        monitor.put(one)
    rounds(lambda: any(event.kind == "judge back" for event in store.events()))
    assert store.rollout("assistant").share == 0.05  # type: ignore[union-attr]


def test_a_burst_is_dropped_and_counted_and_nothing_grows(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    watch = monitor.watches["assistant"]
    watch.inbox._most = 200
    for n in range(20_000):
        monitor.put(exchange(n, arm="tuned" if n % 20 == 0 else "base"))
    assert len(watch.inbox) == 200
    until(monitor, lambda: watch.idle)
    counts = watch.reading().counts  # type: ignore[union-attr]
    assert counts["arrived"] == 20_000
    assert counts["dropped"] == 19_800
    assert len(store.scored("assistant", 1, limit=1000)) == 200


def test_the_wall_clock_moves_no_ramp_and_no_lease(tmp_path: Path) -> None:
    chosen = settings(tmp_path, ramp=(RampStep(0.5, hold_seconds=100.0),))
    store = begun(chosen)
    clock, wall = Clock(), Clock()
    monitor = a_monitor(chosen, store, clock=clock, now=wall)
    watch = monitor.watches["assistant"]
    monitor.round()
    wall.time += 10**9
    clock.time += 1
    monitor.round()
    held = watch.reading().ramp_held  # type: ignore[union-attr]
    assert "held for another 99 s" in held
    assert store.rollout("assistant").share == 0.05  # type: ignore[union-attr]


@pytest.mark.long
def test_the_ramp_goes_on_only_when_not_worse_is_shown(tmp_path: Path) -> None:
    chosen = settings(tmp_path, share=0.5, ramp=(RampStep(0.8, hold_answers=50), RampStep(1.0)))
    store = begun(chosen, share=0.5)
    clock = Clock()
    monitor = a_monitor(chosen, store, clock=clock)
    watch = monitor.watches["assistant"]
    monitor.round()
    for one in traffic(900, 0.0, 0.0, share=0.5):
        monitor.put(one)
    end = time.monotonic() + 60
    while not watch.idle:
        assert time.monotonic() < end
        for _ in range(100):
            watch.score()
        clock.time += 0.2
        monitor.round()
    evidence = watch.evidence
    assert evidence is not None
    rollout = store.rollout("assistant")
    assert rollout is not None
    if evidence.reading(0.0).verdict == "not worse":
        assert rollout.share > 0.5
    else:
        assert rollout.share == 0.5
        assert "not yet say" in watch.reading().ramp_held  # type: ignore[union-attr]


def test_a_mirror_that_is_silent_is_an_event_and_holds_the_ramp(tmp_path: Path) -> None:
    chosen = settings(tmp_path, ramp=(RampStep(0.5),))
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(400, 0.0, 0.0, share=0.0))
    until(monitor, lambda: any(event.kind == "mirror silent" for event in store.events()))
    assert "No whole answer of the tuned model" in monitor.watches["assistant"].reading().ramp_held  # type: ignore[union-attr]
    assert [event.kind for event in store.events()].count("mirror silent") == 1
    fed(monitor, traffic(200, 0.0, 0.0, share=0.1, seed=1))
    assert monitor.watches["assistant"].reading().mirror_silent == ""  # type: ignore[union-attr]


def test_answers_that_all_break_off_are_a_silent_mirror(tmp_path: Path) -> None:
    """Clients get them, and nothing is ever known of them: what was shown before does not stand for them."""
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(
        monitor,
        (replace(one, fault="truncated") if one.arm == "tuned" else one for one in traffic(600, 0.0, 0.0, share=0.3)),
    )
    until(monitor, lambda: any(event.kind == "mirror silent" for event in store.events()))
    monitor.close()
    store.close()


def test_an_alarm_pauses_or_only_tells_where_that_is_set_and_the_webhook_hears_it(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def send(url: str, body: bytes) -> int:
        heard.append(body)
        return 200

    for on_alarm, status in (("pause", "paused"), ("notify", "running")):
        folder = tmp_path / on_alarm
        folder.mkdir()
        chosen = settings(folder, on_alarm=on_alarm)
        store = begun(chosen)
        hook = Webhook("http://hook", send=send)
        monitor = a_monitor(chosen, store, webhook=hook)
        fed(monitor, traffic(400, 0.5, 0.0))
        until(monitor, lambda store=store: any(e.kind == "alarm" for e in store.events()))
        monitor.close()
        assert store.rollout("assistant").status == status  # type: ignore[union-attr]
        assert store.rollout("assistant").share == 0.05  # type: ignore[union-attr]
    assert b'"event": "alarm"' in b"".join(heard)


def test_who_resumes_in_spite_of_an_alarm_is_not_overruled(tmp_path: Path) -> None:
    chosen = settings(tmp_path, on_alarm="pause")
    store = begun(chosen)
    monitor = a_monitor(chosen, store, name="one")
    fed(monitor, traffic(400, 0.5, 0.0))
    paused = store.rollout("assistant")
    assert paused is not None
    assert paused.status == "paused"
    store.set_rollout(replace(paused, status="running"), paused, "resumed", "admin", "It is fine.")
    for _ in range(30):
        monitor.round()
        time.sleep(0.01)
    assert store.rollout("assistant").status == "running"  # type: ignore[union-attr]
    again = a_monitor(chosen, store, name="one")
    until(again, lambda: again.watches["assistant"].evidence is not None)
    for _ in range(30):
        again.round()
        time.sleep(0.01)
    assert store.rollout("assistant").status == "running"  # type: ignore[union-attr]


def test_another_rollout_begins_with_evidence_anew(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(400, 0.5, 0.0))
    before = store.rollout("assistant")
    store.set_rollout(Rollout("assistant", 2, "running", 0.05, attempt=2), before, "resumed", "admin", "Mended.")
    fed(monitor, traffic(100, 0.0, 0.0, rollout=2, seed=5))
    evidence = monitor.watches["assistant"].evidence
    assert evidence is not None
    assert evidence.rollout == 2
    assert evidence.alarm is None
    assert evidence.alpha < 0.01
    assert store.rollout("assistant").status == "running"  # type: ignore[union-attr]
    assert says_evil


@pytest.mark.long
def test_a_monitor_that_starts_among_many_rows_decides_only_when_it_has_them_all(tmp_path: Path) -> None:
    chosen = settings(tmp_path, share=0.5, ramp=(RampStep(0.8),))
    store = begun(chosen, share=0.5)
    first = a_monitor(chosen, store, name="one")
    fed(first, traffic(1500, 0.0, 0.0, share=0.5))
    again = a_monitor(chosen, store, name="one")
    watch = again.watches["assistant"]
    again.round()
    assert watch.behind
    assert watch._published is None
    again.settle()
    assert not watch.behind
    assert watch.evidence is not None
    assert watch.evidence.folded == 1500
    assert watch._published is not None


def test_a_monitor_that_lives_and_gets_nothing_done_does_not_look_like_one_that_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails in every round, such as evidence that cannot be folded, ends the beats by which others know of it."""
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store)

    def broken(*_: object) -> None:
        raise ValueError("row 7 does not follow 9")

    monkeypatch.setattr(monitor.watches["assistant"], "fold", broken)
    with pytest.raises(ValueError, match="does not follow"):
        monitor.settle()
    assert store.age("monitor") is None
    monkeypatch.undo()
    monitor._beat_again = 0.0
    monitor.settle()
    assert store.age("monitor") is not None
    monitor.close()
    store.close()
