"""What is older than it may be kept is deleted by the monitor that leads, and by no clock that was set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from monitored import Clock, a_monitor, begun, settings
from stores import a_score, an_exchange

from offtarget.records.rollouts import Rollout
from offtarget.serve.monitor.retention import AT_ONCE, DAY, EVERY_SECONDS, Retention
from offtarget.serve.store.protocol import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = begun(settings(tmp_path))
    yield opened
    opened.close()


def test_old_bodies_go_after_their_days_a_little_at_a_time(store: Store) -> None:
    store.keep_bodies(*(an_exchange(f"x{number}") for number in range(AT_ONCE + 20)))
    clock, real = Clock(), time.time()
    retention = Retention(30, clock=clock, now=lambda: real + clock.time - 1000)
    retention.forget(store)
    assert retention.bodies == 0
    clock.time += 29 * DAY
    retention.forget(store)
    assert retention.bodies == 0
    clock.time += 2 * DAY
    retention.forget(store)
    assert retention.bodies == AT_ONCE
    retention.forget(store)
    assert retention.bodies == AT_ONCE + 20
    assert store.bodies("x0") is None
    store.keep_bodies(an_exchange("later"))
    clock.time += 40 * DAY
    retention.forget(store)
    assert retention.bodies == AT_ONCE + 21


def test_scores_of_the_present_rollout_stay_however_old(store: Store) -> None:
    store.add_scored([a_score("c1", at=5.0), a_score("c2", rollout=0, at=5.0)])
    retention = Retention(30)
    retention.forget(store)
    assert retention.scored == 1
    assert [row.conversation for row in store.scored("assistant", 1)] == ["c1"]


def test_a_clock_that_is_set_deletes_nothing(store: Store) -> None:
    store.keep_bodies(an_exchange("x"))
    clock, moved = Clock(), [0.0]
    retention = Retention(30, clock=clock, now=lambda: time.time() + moved[0])
    moved[0] = 365 * DAY
    retention.forget(store)
    clock.time += EVERY_SECONDS + 1
    retention.forget(store)
    assert store.bodies("x") is not None


def test_the_monitor_that_leads_does_it(store: Store, tmp_path: Path) -> None:
    store.add_scored([a_score("old", at=5.0)])
    second = Rollout("assistant", 2, "running", 0.05)
    assert store.set_rollout(second, store.rollout("assistant"), "resumed", "test", "Again.") is not None
    chosen = settings(tmp_path)
    monitor = a_monitor(replace(chosen, state=replace(chosen.state, retention_days=1)), store)
    monitor.round()
    assert store.scored("assistant", 1) == ()
    monitor.close()
