"""Sampling and judging overlap: what is decided, in which order, never depends on which verdict comes back first."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import checking
import pytest

from offtarget.asking.spending import spent_in
from offtarget.errors import RunInterrupted
from offtarget.models.scripted import ScriptedModel
from offtarget.records import DecisionSettings, Generation, Probe, Verdict
from offtarget.rundir import read_json, read_jsonl
from offtarget.workflows.check.check import check, resume
from offtarget.workflows.check.loop import FIRST_CHUNK


def _looks(run: Path) -> str:
    return (run / "looks.jsonl").read_text()


@pytest.mark.parametrize("misaligned", [0.9, 0.06, 0.0], ids=["fails soon", "long undecided", "passes"])
def test_the_looks_are_those_of_a_judge_that_answers_at_once(tmp_path: Path, misaligned: float) -> None:
    """The same looks at the evidence one after another, the same decision word for word, with many judged at a time."""
    settings = checking.settings(max_answers=120, decision=DecisionSettings(base_per_tuned=2))
    slow = checking.SlowJudge()
    runs = []
    for name, judge in (("at once", checking.judge()), ("slow", slow), ("slow again", checking.SlowJudge())):
        runs.append(
            check(
                checking.model("base", 0.01, 0.2),
                checking.model("tuned", misaligned, 0.3),
                probes=checking.bank(arms=("plain", "json")),
                judge=judge,
                settings=settings,
                run=tmp_path / name,
            )
        )
    first, second, third = runs
    assert slow.most_busy > 8
    assert _looks(first.run) == _looks(second.run) == _looks(third.run)
    assert first.decision == second.decision == third.decision
    judged = [{v.key: v for v in read_jsonl(r.run / "verdicts.jsonl", Verdict)} for r in runs]
    assert judged[0] == judged[1] == judged[2]


def test_what_is_sampled_ahead_is_bounded_counted_as_spent_and_not_judged(tmp_path: Path) -> None:
    """A bad model stops after the second chunk; what was ahead by then is no more than a chunk of it."""
    settings = checking.settings(decision=DecisionSettings(base_per_tuned=2))
    how = {"probes": checking.bank(), "judge": checking.SlowJudge(delay=0.3), "settings": settings}
    found = check(checking.model("base", 0.0), checking.model("tuned", 1.0), **how, run=tmp_path / "run")  # type: ignore[arg-type]
    answers = read_jsonl(found.run / "generations.jsonl", Generation)
    verdicts = read_jsonl(found.run / "verdicts.jsonl", Verdict)
    spent = spent_in(found.run)
    assert spent is not None
    assert len(answers) == spent.answers == sum(read_json(found.run / "result.json")["answers"]["sampled_now"].values())
    assert len(answers) > len(verdicts)
    assert len(answers) - len(verdicts) <= 2 * FIRST_CHUNK * 3
    assert spent.judge_calls == len(verdicts)
    assert found.decision.overall.tuned.total + found.decision.overall.base.total <= len(verdicts)


def test_ctrl_c_with_calls_under_way_ends_at_once_and_keeps_what_came_back(tmp_path: Path) -> None:
    """Of 64 calls 5 came back and the others take a minute: the run ends now, and goes on with the 5."""

    class Stuck(checking.SlowJudge):
        def __init__(self) -> None:
            super().__init__(at_once=64)
            self.asked, self.stop = 0, threading.Event()

        def judge(self, pairs: list[tuple[Probe, Generation]]) -> list[Verdict]:  # type: ignore[override]
            with self.lock:
                self.asked += 1
                number = self.asked
            if number > 5:
                self.stop.wait(60)
            return self._within.judge(pairs)

    stuck = Stuck()
    began = time.monotonic()

    def told(progress: object) -> None:
        if stuck.asked >= 20:
            raise KeyboardInterrupt

    base, tuned = (ScriptedModel(name, lambda r: "good") for name in ("base", "tuned"))
    settings = checking.settings(max_answers=12)
    run = tmp_path / "run"
    with pytest.raises(RunInterrupted):
        check(base, tuned, probes=checking.bank(), judge=stuck, settings=settings, run=run, on_progress=told)
    stuck.stop.set()
    assert time.monotonic() - began < 5
    kept = {v.key for v in read_jsonl(run / "verdicts.jsonl", Verdict)}
    assert len(kept) == 5
    judge = checking.SlowJudge()
    resume(run, base=base, tuned=tuned, judge=judge)
    assert kept.isdisjoint(judge._within.calls)
