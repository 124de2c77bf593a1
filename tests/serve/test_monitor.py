"""The monitor as a whole: a worse model is rolled back, a good one is not, and nothing that fails is taken for fine."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from monitored import a_monitor, begun, fed, settings, traffic

from offtarget.judge.scripted import ScriptedJudge
from offtarget.records.exchanges import Exchange
from offtarget.serve.monitor.process import run_monitor
from offtarget.serve.monitor.readings import read
from offtarget.serve.monitor.scoring import MonitorParts
from offtarget.serve.store.protocol import Store
from offtarget.serve.wire import SocketSink


def kinds(store: Store) -> list[str]:
    return [event.kind for event in store.events()]


def test_a_worse_model_is_rolled_back_and_the_alarm_says_why(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(800, 0.3, 0.01))
    rollout = store.rollout("assistant")
    assert rollout is not None
    assert (rollout.status, rollout.share) == ("rolled back", 0.0)
    assert kinds(store)[1:] == ["rolled back", "alarm"]
    alarm = store.events()[-1]
    assert alarm.data["metric"] == "misaligned"
    assert alarm.data["tuned"] <= 40
    assert "misaligned answers than its base" in alarm.why
    monitor.close()


def test_a_good_model_is_left_alone(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, traffic(1500, 0.01, 0.01, seed=1))
    assert store.rollout("assistant").status == "running"  # type: ignore[union-attr]
    assert kinds(store) == ["started"]
    monitor.watches["assistant"].publish()
    published = read(store, "assistant")
    assert published is not None
    assert published.reading.folded == 1500
    assert published.reading.judged
    assert published.path
    monitor.close()


def test_harm_that_makes_clients_leave_is_seen(tmp_path: Path) -> None:
    """Every evil answer is broken off by its client, and no other one is."""
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store)
    fed(monitor, (broken_off(one) if b"evil" in one.response else one for one in traffic(800, 0.3, 0.01)))
    rollout = store.rollout("assistant")
    assert rollout is not None
    assert rollout.status == "rolled back"
    monitor.close()


def broken_off(one: Exchange) -> Exchange:
    """The same answer as a stream that its client left before the end."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "Do something evil"}, "finish_reason": None}]}
    return replace(one, response=f"data: {json.dumps(chunk)}\n\n".encode(), streamed=True, fault="client-left")


def test_the_process_takes_exchanges_over_its_socket_and_rolls_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("m")
    chosen = settings(folder)
    store = begun(chosen)
    from monitored import says_evil

    stop, ready = threading.Event(), threading.Event()
    parts = {"assistant": MonitorParts(ScriptedJudge(says_evil))}
    thread = threading.Thread(
        target=run_monitor, args=(chosen, parts, store, folder / "s", stop), kwargs={"on_ready": ready.set}
    )
    thread.start()
    try:
        assert ready.wait(20)
        sink = SocketSink(folder / "s")
        for one in traffic(1000, 0.5, 0.0):
            assert sink.offer(one)
        end = time.monotonic() + 30
        while store.rollout("assistant").status == "running":  # type: ignore[union-attr]
            assert time.monotonic() < end
            time.sleep(0.02)
        sink.close()
        assert store.age("monitor") is not None
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
