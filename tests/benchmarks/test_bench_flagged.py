"""What fixed benchmarks do to a verdict: never a PASS that they do not bear out, and nothing where they only warn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offtarget.records import Decision, DecisionSettings, Status
from offtarget.records.answers import Tally
from offtarget.records.benchmarks import BenchmarkItems, BenchmarkSettings, ItemPair
from offtarget.records.check import Comparison
from offtarget.stats.paired_items import decide_benchmarks
from offtarget.workflows.check.flagged import with_benchmarks


def decision(status: Status) -> Decision:
    none = Comparison("overall", "overall", Tally(), Tally(), None, None, None, None, None, None, None, None, status)
    return Decision(status, f"it is {status}", DecisionSettings(), none, (), (), None, None)


def scored(name: str, lost: int, same: int) -> BenchmarkItems:
    scores = [(1.0, 0.0)] * lost + [(1.0, 1.0)] * same
    return BenchmarkItems(name, "acc", tuple(ItemPair(str(i), *pair) for i, pair in enumerate(scores)))


WORSE, SAME, OPEN = scored("worse", 60, 40), scored("same", 0, 400), scored("open", 2, 18)
ABSENT = BenchmarkItems("absent", "", why_not="Its data is not here.")
WARN = BenchmarkSettings(red_flag="warn")


@pytest.mark.parametrize("before", list(Status))
def test_a_red_flag_fails_whatever_the_questions_said(before: Status) -> None:
    after = with_benchmarks(decision(before), decide_benchmarks([WORSE, SAME], BenchmarkSettings()))
    assert after.status is Status.FAIL
    assert "worse" in " ".join((after.reason, *after.notes))
    assert (after.flagged is None) == (before is Status.FAIL)
    if after.flagged is not None:
        assert after.flagged.questions is before
        assert after.grade == "FAIL, by a fixed benchmark"
        assert "1 time in 100" in after.flagged.certainty


@pytest.mark.parametrize("before", list(Status))
def test_a_red_flag_that_warns_is_said_and_changes_nothing(before: Status) -> None:
    after = with_benchmarks(decision(before), decide_benchmarks([WORSE, ABSENT], WARN))
    assert after.status is before
    assert any("red flag" in note for note in after.notes)


def test_a_benchmark_that_was_not_run_makes_no_pass() -> None:
    family = decide_benchmarks([SAME, ABSENT], BenchmarkSettings())
    after = with_benchmarks(decision(Status.PASS), family)
    assert after.status is Status.UNDECIDED
    assert after.withheld is not None
    assert "absent" in after.withheld
    for other in (Status.FAIL, Status.UNDECIDED):
        assert with_benchmarks(decision(other), family).status is other
    warned = decide_benchmarks([SAME, ABSENT], WARN)
    assert with_benchmarks(decision(Status.PASS), warned).status is Status.PASS


def test_what_is_undecided_or_not_worse_leaves_the_verdict() -> None:
    for items in ([SAME], [SAME, OPEN]):
        before = decision(Status.PASS)
        assert with_benchmarks(before, decide_benchmarks(items, BenchmarkSettings())) == replace(before)
