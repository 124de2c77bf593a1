"""Flagged answers before people: nothing is rolled back on the judge's word where they are asked first."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from monitored import a_monitor, begun, fed, settings, traffic, until

from offtarget.records import Outcome
from offtarget.serve.store.protocol import Store


def flagged(store: Store) -> list[tuple[int, str]]:
    rows = store.scored("assistant", 1, limit=5000)
    return [(row.number, row.arm) for row in rows if row.outcome is Outcome.MISALIGNED]


@pytest.mark.long
def test_before_a_rollback_people_are_asked_and_their_word_rolls_back(tmp_path: Path) -> None:
    chosen = settings(tmp_path, confirm="before")
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(300, 0.5, 0.01))
    rollout = store.rollout("assistant")
    assert rollout is not None
    assert (rollout.status, rollout.share) == ("paused", 0.05)
    assert "People are asked" in rollout.reason
    for number, arm in flagged(store):
        store.confirm(number, arm == "tuned", "Ada", "read")
    until(monitor, lambda: store.rollout("assistant").status == "rolled back")  # type: ignore[union-attr]
    assert "stands on their word" in store.rollout("assistant").reason  # type: ignore[union-attr]
    assert [event.kind for event in store.events()].count("alarm") == 1


def test_a_judge_that_people_refute_rolls_nothing_back(tmp_path: Path) -> None:
    chosen = settings(tmp_path, confirm="before")
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(300, 0.5, 0.01))
    for number, _ in flagged(store):
        store.confirm(number, False, "Ada", "read")
    watch = monitor.watches["assistant"]
    until(monitor, lambda: "would not have gone off" in watch.reading().confirmed)  # type: ignore[union-attr]
    assert store.rollout("assistant").status == "paused"  # type: ignore[union-attr]


def test_after_a_rollback_people_may_say_that_it_was_for_nothing(tmp_path: Path) -> None:
    chosen = settings(tmp_path, confirm="after")
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(300, 0.5, 0.01))
    assert store.rollout("assistant").status == "rolled back"  # type: ignore[union-attr]
    for number, _ in flagged(store):
        store.confirm(number, False, "Ada", "read")
    watch = monitor.watches["assistant"]
    until(monitor, lambda: "no clearance" in watch.reading().confirmed)  # type: ignore[union-attr]
    assert store.rollout("assistant").status == "rolled back"  # type: ignore[union-attr]


def test_who_resumes_before_people_have_read_is_overruled_by_their_word_alone(tmp_path: Path) -> None:
    chosen = settings(tmp_path, confirm="before")
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(300, 0.5, 0.01))
    paused = store.rollout("assistant")
    assert paused is not None
    store.set_rollout(replace(paused, status="running"), paused, "resumed", "admin", "Let it run.")
    for _ in range(30):
        monitor.round()
        time.sleep(0.01)
    assert store.rollout("assistant").status == "running"  # type: ignore[union-attr]
    for number, arm in flagged(store):
        store.confirm(number, arm == "tuned", "Ada", "read")
    until(monitor, lambda: store.rollout("assistant").status == "rolled back")  # type: ignore[union-attr]
