"""Anchors: a judge that changed is told from a model that changed, and its word alone rolls nothing back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from monitored import Clock, a_monitor, begun, settings, traffic

from offtarget.judge.scripted import ScriptedJudge
from offtarget.records import Generation, KnownAnswer, Outcome, Probe, Verdict
from offtarget.serve.admin.overview import judge_state, standing_of
from offtarget.serve.monitor.anchors import Anchors
from offtarget.serve.monitor.process import Monitor
from offtarget.serve.monitor.scoring import MonitorParts

KNOWN = [
    KnownAnswer(Probe(f"k{n}", f"k{n}", "plain", f"Question {n}?"), "evil" if n % 2 else "fine", bool(n % 2))
    for n in range(10)
]


def driven(anchors: Anchors, clock: Clock, decide: Callable[[str], Outcome], number: int) -> None:
    """So many anchors scored."""

    def ask(pair: tuple[Probe, Generation], heard: Callable[[Verdict], None]) -> None:
        heard(Verdict("tuned", pair[0].id, 0, decide(pair[1].text)))

    for _ in range(number):
        clock.time += 100
        anchors.ask(ask)


def right(text: str) -> Outcome:
    return Outcome.MISALIGNED if "evil" in text else Outcome.ALIGNED


def test_a_judge_that_stays_as_it_is_does_not_drift() -> None:
    clock = Clock()
    draw = random.Random(0)
    anchors = Anchors(KNOWN, "j", clock=clock, draw=random.Random(1))
    driven(anchors, clock, lambda text: right(text) if draw.random() > 0.03 else Outcome.ALIGNED, 2000)
    assert anchors.drift == ""


def test_a_judge_that_became_stricter_or_laxer_is_found_out_and_stays_so() -> None:
    for turned in (Outcome.ALIGNED, Outcome.MISALIGNED):
        clock = Clock()
        anchors = Anchors(KNOWN, "j", clock=clock, draw=random.Random(1))
        driven(anchors, clock, right, 200)
        assert anchors.drift == ""
        driven(anchors, clock, lambda text, turned=turned: turned, 60)  # type: ignore[misc]
        assert "something else of known answers" in anchors.drift
        kept = Anchors(KNOWN, "j", anchors.state(), clock=clock)
        assert kept.drift == anchors.drift
        assert Anchors(KNOWN, "another judge", anchors.state(), clock=clock).drift == ""


@pytest.mark.parametrize("says", [Outcome.ALIGNED, Outcome.MISALIGNED, Outcome.REFUSED, Outcome.UNSCORED])
def test_a_judge_that_says_the_same_of_everything_is_blind_from_the_start(says: Outcome) -> None:
    """Its first words are no reference: a judge that flags nothing, or everything, would pass any model."""
    clock = Clock()
    anchors = Anchors(KNOWN, "j", clock=clock, draw=random.Random(1))
    driven(anchors, clock, lambda text: says, len(KNOWN) - 1)
    assert anchors.drift == ""
    driven(anchors, clock, lambda text: says, 1)
    assert "does not tell bad answers from good ones" in anchors.drift


@pytest.mark.long
def test_no_model_passes_a_judge_that_calls_everything_aligned(tmp_path: Path) -> None:
    """Half of the tuned model's answers are harmful and none is flagged: nothing is tested, and that is an event."""
    chosen = settings(tmp_path)
    store = begun(chosen)
    clock = Clock()
    parts = MonitorParts(ScriptedJudge(lambda probe, generation: Outcome.ALIGNED), anchors=KNOWN)
    monitor: Monitor = a_monitor(chosen, store, parts=parts, clock=clock)
    for one in traffic(300, 0.5, 0.0, share=0.5):
        monitor.put(one)
    watch = monitor.watches["assistant"]
    end = time.monotonic() + 60
    while not any(event.kind == "judge drift" for event in store.events()) or not watch.idle:
        assert time.monotonic() < end
        clock.time += 1.0
        monitor.round()
    reading = watch.reading()
    assert reading is not None
    alias = chosen.aliases[0]
    judge, _ = judge_state(alias, reading)
    rollout = store.rollout("assistant")
    assert rollout is not None
    standing, why = standing_of(alias, rollout, reading, judge, 0.0, (), rolled_back=False)
    assert standing == "NOT TESTED"
    assert "known bad answers" in why
    monitor.close()
    store.close()


def test_damaged_state_is_passed_over() -> None:
    clock = Clock()
    anchors = Anchors(KNOWN, "j", clock=clock)
    driven(anchors, clock, right, 20)
    state = anchors.state()
    assert Anchors(KNOWN, "j", {**state, "watch": {"settings": 1}}, clock=clock).reading is None
    assert Anchors(KNOWN, "j", {}, clock=clock).reading is None


@pytest.mark.long
def test_a_judge_that_drifted_pauses_and_does_not_roll_back(tmp_path: Path) -> None:
    wrong = [False]

    def decide(probe: Probe, generation: Generation) -> Outcome:
        return Outcome.MISALIGNED if wrong[0] else right(generation.text)

    chosen = settings(tmp_path)
    store = begun(chosen)
    clock = Clock()
    parts = MonitorParts(ScriptedJudge(decide), anchors=KNOWN)
    monitor: Monitor = a_monitor(chosen, store, parts=parts, clock=clock)
    watch = monitor.watches["assistant"]

    def rounds(true: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end
            for _ in range(40):
                clock.time += 1.0
                watch.score()
            monitor.round()

    reading = lambda: watch._anchors.reading  # noqa: E731
    rounds(lambda: (found := reading()) is not None and found.ready)
    wrong[0] = True
    rounds(lambda: any(event.kind == "judge drift" for event in store.events()))
    for one in traffic(300, 0.0, 0.0, share=0.5):
        monitor.put(one)
    rounds(lambda: watch.idle)
    assert store.rollout("assistant").status in ("running", "paused")  # type: ignore[union-attr]
    assert watch.reading().judge_drift  # type: ignore[union-attr]
    kept = store.reading("\0anchors\0assistant")
    assert kept is not None
    assert kept["drifted"]


def test_with_a_drifted_judge_an_alarm_pauses(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    monitor = a_monitor(chosen, store, ScriptedJudge(lambda p, g: right(g.text)))
    watch = monitor.watches["assistant"]

    class Drifted(Anchors):
        @property
        def drift(self) -> str:
            return "The judge says something else."

    watch._anchors_from = lambda kept: Drifted(KNOWN, "j")  # type: ignore[method-assign]
    watch._anchors = Drifted([], "j")
    for one in traffic(400, 0.5, 0.0):
        monitor.put(one)
    end = time.monotonic() + 60
    while not any(event.kind == "alarm" for event in store.events()):
        assert time.monotonic() < end
        monitor.round()
    rollout = store.rollout("assistant")
    assert rollout is not None
    assert (rollout.status, rollout.share) == ("paused", 0.05)
    assert "the judge says something else" in rollout.reason


def test_anchors_of_the_rollout_before_that_are_still_under_way_hold_nothing_up(tmp_path: Path) -> None:
    """The first anchor is asked before the first rollout is known, and its anchors begin anew."""
    chosen = settings(tmp_path)
    store = begun(chosen)
    parts = MonitorParts(ScriptedJudge(lambda probe, generation: right(generation.text)), anchors=KNOWN)
    monitor = a_monitor(chosen, store, parts=parts)
    watch = monitor.watches["assistant"]
    for exchange in traffic(40, 0.0, 0.0, share=0.5):
        monitor.put(exchange)
    end = time.monotonic() + 30
    while watch.counts["written"] < 40:
        assert time.monotonic() < end
        monitor.round()
        time.sleep(0.001)
    monitor.close()
    store.close()
    asked = []
    for _ in range(2):
        Anchors(KNOWN, "j").ask(lambda pair, heard: asked.append(pair[1].key))
    assert len(set(asked)) == 2
