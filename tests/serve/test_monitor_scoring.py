"""Judges that are asked beside everything else: blind, in order, by a share that no answer moves, whatever they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from exchanging import exchange
from monitored import Clock, says_evil

from offtarget.judge.scripted import ScriptedJudge
from offtarget.records import Generation, Outcome, Probe, Verdict
from offtarget.records.gateway import CanarySettings
from offtarget.serve.monitor.asking import ATTEMPTS, FAILURES, drawn
from offtarget.serve.monitor.inbox import Inbox
from offtarget.serve.monitor.scoring import MonitorParts, Scored, Scoring


def scoring(judge: Any, cheap: Any = None, share: float = 0.1, **more: Any) -> Scoring:
    parts = MonitorParts(judge, cheap, **({"recognise": more.pop("recognise")} if "recognise" in more else {}))
    return Scoring(CanarySettings(judge_share=share), parts, **({"pause": 0.0} | more))


def finished(scoring: Scoring, number: int, seconds: float = 20.0) -> list[Scored]:
    """So many answers, scored."""
    found, end = [], time.monotonic() + seconds
    while len(found) < number:
        assert time.monotonic() < end, found
        found += scoring.finished()
        time.sleep(0.001)
    return found


def scored_all(scoring: Scoring, exchanges: list[Any]) -> list[Scored]:
    """All of them, in the order in which they were started."""
    found = []
    for one in exchanges:
        while scoring.full:
            found += scoring.finished()
        scoring.start(one)
    return found + finished(scoring, len(exchanges) - len(found))


class Many(ScriptedJudge):
    """Takes four at a time."""

    at_once = 4


def test_verdicts_are_written_down_in_the_order_of_the_questions() -> None:
    def slow_when_evil(probe: Probe, generation: Generation) -> Outcome:
        time.sleep(0.05 if "evil" in generation.text else 0.0)
        return says_evil(probe, generation)

    sent = [exchange(n, said="evil" if n % 5 == 0 else "fine") for n in range(20)]
    rows = [one.row for one in scored_all(scoring(Many(slow_when_evil)), sent)]
    assert [row.exchange for row in rows] == [one.id for one in sent]
    assert [row.outcome is Outcome.MISALIGNED for row in rows] == [n % 5 == 0 for n in range(20)]


def test_the_judge_hears_what_the_cheap_one_flags_and_a_share_of_the_rest_that_no_answer_moves() -> None:
    judge, cheap = ScriptedJudge(lambda p, g: Outcome.ALIGNED, "strong"), ScriptedJudge(says_evil, "cheap")
    sent = [exchange(n, said="evil" if n % 10 == 0 else "fine") for n in range(200)]
    rows = {one.row.exchange: one.row for one in scored_all(scoring(judge, cheap, 0.2), sent)}
    for n, one in enumerate(sent):
        row = rows[one.id]
        assert row.cheap_flag == (n % 10 == 0)
        assert row.asked == (row.cheap_flag or drawn(one.id, "", 0.2))
        assert row.judge == ("strong" if row.asked else "cheap")
    assert 0.1 < sum(drawn(one.id, "", 0.2) for one in sent) / 200 < 0.3


def test_a_cheap_judge_that_makes_nothing_of_an_answer_passes_it_on() -> None:
    cheap = ScriptedJudge(lambda p, g: Outcome.UNSCORED)
    (one,) = scored_all(scoring(ScriptedJudge(says_evil, "strong"), cheap, 0.001), [exchange(said="evil")])
    assert (one.row.outcome, one.row.cheap_flag, one.row.judge) == (Outcome.MISALIGNED, True, "strong")


def _raises(probe: Probe, generation: Generation) -> Outcome:
    raise RuntimeError("down")


class Raising:
    fingerprint = "raising"

    def judge(self, pairs: Any) -> list[Verdict]:
        raise RuntimeError("down")


class Nonsense:
    fingerprint = "nonsense"

    def __init__(self, what: Callable[[Any], Any]) -> None:
        self._what = what

    def judge(self, pairs: Any) -> Any:
        return self._what(pairs)


@pytest.mark.parametrize(
    "judge",
    [
        Raising(),
        ScriptedJudge(_raises),
        Nonsense(lambda pairs: None),
        Nonsense(lambda pairs: []),
        Nonsense(lambda pairs: ["fine"]),
        Nonsense(lambda pairs: [Verdict("base", "another", 0, Outcome.ALIGNED)]),
        Nonsense(lambda pairs: [Verdict("tuned", pairs[0][0].id, 0, "fine")]),  # type: ignore[arg-type]
        Nonsense(lambda pairs: [Verdict("tuned", pairs[0][0].id, 0, Outcome.ALIGNED, alignment=float("nan"))]),
    ],
)
def test_a_judge_that_fails_or_talks_nonsense_counts_as_nothing_and_is_down_after_a_while(judge: Any) -> None:
    made = scoring(judge)
    rows = [one.row for one in scored_all(made, [exchange(n) for n in range(FAILURES)])]
    assert {row.outcome for row in rows} == {Outcome.UNSCORED}
    assert all("unscored" not in row.flags for row in rows)  # its fault says nothing about the answer
    assert made.health.down
    assert made.failed == FAILURES


def test_a_judge_that_comes_back_is_up_at_its_first_verdict() -> None:
    broken = [True]

    def decide(probe: Probe, generation: Generation) -> Outcome:
        if broken[0]:
            raise RuntimeError
        return Outcome.ALIGNED

    made = scoring(ScriptedJudge(decide))
    scored_all(made, [exchange(n) for n in range(FAILURES)])
    assert made.health.down
    broken[0] = False
    (one,) = scored_all(made, [exchange(99)])
    assert one.row.outcome is Outcome.ALIGNED
    assert not made.health.down


@pytest.mark.parametrize("many", [1, 4])
def test_a_judge_that_hangs_is_down_and_its_answer_given_up(many: int) -> None:
    release = threading.Event()
    clock = Clock()

    class Hanging(ScriptedJudge):
        at_once = many

    def hang(probe: Probe, generation: Generation) -> Outcome:
        release.wait(30)
        return Outcome.ALIGNED

    before = threading.active_count()
    made = scoring(Hanging(hang), seconds=10.0, clock=clock)
    made.start(exchange(1))
    found: list[Scored] = []
    for _ in range(20 * ATTEMPTS):
        found += made.finished()
        clock.time += 4
        time.sleep(0.002)
    assert [one.row.outcome for one in found] == [Outcome.UNSCORED]
    assert made.health.in_a_row > 0
    assert threading.active_count() - before <= 3 * many  # what hangs is left behind, and does not pile up
    release.set()
    made.close()


def test_retries_are_made_before_an_answer_is_given_up() -> None:
    failures = iter([True, True])

    def decide(probe: Probe, generation: Generation) -> Outcome:
        if next(failures, False):
            raise RuntimeError
        return Outcome.MISALIGNED

    (one,) = scored_all(scoring(ScriptedJudge(decide)), [exchange()])
    assert one.row.outcome is Outcome.MISALIGNED


def test_flags_besides_harm_and_what_cannot_be_told_is_absent() -> None:
    def decide(probe: Probe, generation: Generation) -> Outcome:
        return {"no": Outcome.REFUSED, "xx": Outcome.INCOHERENT}.get(generation.text, Outcome.ALIGNED)

    sent = [exchange(0, said="no"), exchange(1, said="xx"), exchange(2, said=""), exchange(3, response=b"<html>")]
    flags = [dict(one.row.flags) for one in scored_all(scoring(ScriptedJudge(decide)), sent)]
    assert flags[0] == {"refusal": True, "gibberish": False, "unscored": False}
    assert flags[1] == {"refusal": False, "gibberish": True, "unscored": False}
    assert flags[2] == {"gibberish": True}
    assert flags[3] == {"unscored": True}


def test_what_is_no_arms_doing_makes_no_row() -> None:
    made = scoring(ScriptedJudge(says_evil), recognise=lambda probe: None if "odd" in probe.prompt else probe)
    for one in (
        exchange(1, fault="refused", response=b""), exchange(2, status=400), exchange(3, request=b"{"),
        exchange(4, arm="base", reason="fallback"), exchange(5, asked="odd"),
    ):  # fmt: skip
        made.start(one)
    made.start(exchange(6))
    assert [one.row.exchange for one in finished(made, 1)] == ["req-6"]
    assert sum(made.unread.values()) == 5


def test_without_a_judge_nothing_is_scored_as_fine() -> None:
    (one,) = scored_all(scoring(None), [exchange()])
    assert (one.row.outcome, one.row.flags) == (Outcome.UNSCORED, {})


def test_an_inbox_takes_each_conversation_once_and_never_more_than_its_bound() -> None:
    inbox = Inbox(most_bytes=1_000_000, most=100, remembered=500)
    assert inbox.put(exchange(1))
    assert not inbox.put(exchange(2, conversation=exchange(1).conversation))
    assert inbox.put(exchange(3, conversation=exchange(1).conversation, arm="base"))
    for n in range(10, 2000):
        inbox.put(exchange(n, said="x" * 5000))
    assert len(inbox) <= 100
    assert len(inbox._seen) <= 500
    assert inbox.counts["dropped"] + inbox.counts["repeated"] + len(inbox) == inbox.counts["arrived"]


def test_dropping_looks_at_neither_arm_nor_answer() -> None:
    inbox = Inbox(most_bytes=10_000)
    n = 0
    while inbox.put(exchange(n := n + 1)):
        pass
    assert not any(inbox.put(exchange(n + k, said=said, arm=arm)) for k, (said, arm) in
                   enumerate([("", "base"), ("x" * 9000, "tuned"), ("evil", "tuned")], start=1))  # fmt: skip
