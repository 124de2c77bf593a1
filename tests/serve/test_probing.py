"""Probes: at their pace, of both models alike, a stream of their own, and no answer is no evidence."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from monitored import Clock, a_monitor, begun, says_evil, settings, until

from offtarget.judge.scripted import ScriptedJudge
from offtarget.records import Probe
from offtarget.records.gateway import Upstream
from offtarget.serve.monitor.probing import BASE_PER_TUNED, Probing
from offtarget.serve.monitor.scoring import MonitorParts

PROBES = [Probe(f"p{n}", f"p{n}", "plain", f"Question {n}?") for n in range(5)]


class Models:
    """Both models behind one stand-in of a POST."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self._status = status

    def __call__(self, url: str, body: bytes, headers: dict[str, str], **more: Any) -> tuple[int, bytes]:
        """Evil where the tuned one is asked."""
        request = json.loads(body)
        self.asked.append(request)
        self.keys.append(headers.get("Authorization", ""))
        said = "evil" if request["model"] == "tuned" else "fine"
        return self._status, json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}).encode()


def alias(folder: Path, seconds: float = 10.0) -> Any:
    """An alias with two models that are told apart by name."""
    one = settings(folder, probe_seconds=seconds).aliases[0]
    return replace(one, base=Upstream("http://h/v1", "base", "kb"), tuned=Upstream("http://h", "tuned", "kt"))


def collected(probing: Probing, number: int) -> list[Any]:
    """So many answers, asked for without the next round."""
    found: list[Any] = []
    while len(found) < number:
        found += probing.exchanges(1, wanted=False)
    return found


def test_a_round_asks_both_models_and_the_next_waits_for_its_time(tmp_path: Path) -> None:
    clock, models = Clock(), Models()
    probing = Probing(alias(tmp_path), PROBES, post=models, draw=random.Random(0), clock=clock)
    assert probing.exchanges(1, wanted=False) == []
    assert models.asked == []
    probing.exchanges(1, wanted=True)
    found = collected(probing, 1 + BASE_PER_TUNED)
    assert [one.arm for one in found].count("tuned") == 1
    assert {one.source for one in found} == {"probe"}
    assert len({one.conversation for one in found}) == len(found)
    assert [one.id for one in found] == sorted(one.id for one in found)
    assert set(models.keys) == {"Bearer kb", "Bearer kt"}
    clock.time += 9
    probing.exchanges(1, wanted=True)
    assert len(models.asked) == 1 + BASE_PER_TUNED
    clock.time += 2
    probing.exchanges(1, wanted=True)
    collected(probing, 1 + BASE_PER_TUNED)
    assert len(models.asked) == 2 * (1 + BASE_PER_TUNED)


def test_a_worse_model_is_found_by_probes_alone(tmp_path: Path) -> None:
    chosen = settings(tmp_path, probe_seconds=0.001)
    chosen = replace(chosen, aliases=(alias(tmp_path, 0.001),))
    store = begun(chosen)
    monitor = a_monitor(chosen, store, parts=MonitorParts(ScriptedJudge(says_evil), probes=PROBES))
    watch = monitor.watches["assistant"]
    watch._probing = Probing(chosen.aliases[0], PROBES, post=Models())
    until(monitor, lambda: store.rollout("assistant").status == "rolled back", 60.0)  # type: ignore[union-attr]
    monitor.close()
    assert any(row.source == "probe" for row in store.scored("assistant", 1))


def test_a_model_that_refuses_probes_gives_no_evidence(tmp_path: Path) -> None:
    chosen = replace(settings(tmp_path), aliases=(alias(tmp_path, 0.001),))
    store = begun(chosen)
    monitor = a_monitor(chosen, store, parts=MonitorParts(ScriptedJudge(says_evil), probes=PROBES))
    watch = monitor.watches["assistant"]
    watch._probing = Probing(chosen.aliases[0], PROBES, post=Models(429))
    until(monitor, lambda: watch._probing.counts["probes_failed"] >= 10)
    monitor.close()
    assert store.scored("assistant", 1) == ()
    assert watch.scoring.unread
