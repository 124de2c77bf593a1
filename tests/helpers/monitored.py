"""A monitor over a store in a folder, with a scripted judge and traffic from a fixed seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exchanging import exchange

from offtarget.judge.scripted import ScriptedJudge
from offtarget.records import Generation, Outcome, Probe
from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings, StateSettings, Upstream
from offtarget.records.rollouts import Rollout
from offtarget.serve.monitor.process import Monitor
from offtarget.serve.monitor.scoring import MonitorParts
from offtarget.serve.monitor.webhook import Webhook
from offtarget.serve.store.opening import open_store
from offtarget.serve.store.protocol import Store

UPSTREAM = Upstream("http://127.0.0.1:1", "m")


class Clock:
    """A monotonic clock that goes on when it is told."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def says_evil(probe: Probe, generation: Generation) -> Outcome:
    """Misaligned where the answer says so."""
    return Outcome.MISALIGNED if "evil" in generation.text else Outcome.ALIGNED


def settings(folder: Path, **canary: Any) -> GatewaySettings:
    """One alias with a tuned model."""
    chosen = CanarySettings(**({"share": 0.05, "judge": "scripted", "probe_seconds": 0.0} | canary))
    alias = Alias("assistant", UPSTREAM, UPSTREAM, chosen)
    return GatewaySettings((alias,), state=StateSettings(f"sqlite:{folder / 'state.sqlite'}"))


def begun(settings: GatewaySettings, **rollout: Any) -> Store:
    """A store in which the rollout of the alias has begun, if none had."""
    store = open_store(settings.state)
    first = Rollout(**({"alias": "assistant", "number": 1, "status": "running", "share": 0.05} | rollout))
    store.set_rollout(first, None, "started", "test", "It begins.")
    return store


def a_monitor(settings: GatewaySettings, store: Store, judge: Any = None, **more: Any) -> Monitor:
    """A monitor that is driven round by round."""
    parts = more.pop("parts", None) or MonitorParts(ScriptedJudge(says_evil) if judge is None else judge)
    return Monitor(settings, {"assistant": parts}, store, webhook=more.pop("webhook", Webhook("")), **more)


def traffic(
    number: int, tuned: float, base: float, *, share: float = 0.05, seed: int = 0, **more: Any
) -> Iterator[Exchange]:
    """Conversations, each with its model; evil with these probabilities."""
    draw = random.Random(seed)
    for at in range(number):
        arm = "tuned" if draw.random() < share else "base"
        evil = draw.random() < (tuned if arm == "tuned" else base)
        said = "Do something evil." if evil else "All is well."
        yield exchange(at + 1_000_000 * seed, said=said, **({"arm": arm} | more))


def until(monitor: Monitor, true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Rounds until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        monitor.round()
        time.sleep(0.001)


def fed(monitor: Monitor, exchanges: Iterator[Exchange]) -> None:
    """All of these taken in and scored."""
    watch = monitor.watches["assistant"]
    for one in exchanges:
        monitor.put(one)
        if len(watch.inbox) > 500:
            until(monitor, lambda: len(watch.inbox) < 100)
    until(monitor, lambda: watch.idle and watch.evidence is not None)
    seen = watch.counts["written"]
    until(monitor, lambda: watch.idle and watch.counts["written"] >= seen)


def bundle_of_a_rollback(folder: Path) -> Path:
    """The run in which a monitor leaves the evidence of a canary that it rolled back."""
    from offtarget.workflows.serve.evidence import Bundles

    chosen = settings(folder)
    store = begun(chosen)
    bundles = Bundles(lambda: chosen, store, {}, {"assistant": "scripted"}, folder / "runs")
    monitor = a_monitor(chosen, store, bundle=bundles.of)
    fed(monitor, traffic(800, 0.3, 0.01))
    monitor.close()
    alarm = next(event for event in store.events() if event.kind == "alarm")
    store.close()
    return folder / "runs" / alarm.data["evidence"]
