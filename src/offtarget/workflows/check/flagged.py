"""What fixed benchmarks do to the verdict of the questions."""

from __future__ import annotations

from dataclasses import replace

from offtarget.pages.benchmarks import story
from offtarget.records import Decision, Status
from offtarget.records.benchmarks import BenchmarkFamily
from offtarget.records.check import Flagged
from offtarget.words import joined, sentence_start


def with_benchmarks(decision: Decision, family: BenchmarkFamily) -> Decision:
    """The decision of a check that asked fixed benchmarks too.

    A red flag makes it FAIL, and a benchmark that was not run makes no PASS, unless red flags are to warn only. One
    that is undecided changes nothing: it is said to be not tested.
    """
    if family.red_flag and family.settings.red_flag == "fail":
        if decision.status is Status.FAIL:
            return replace(decision, notes=(*decision.notes, story.sentence(family)))
        alone = f"The questions alone: {decision.status.value}. {sentence_start(decision.reason)}"
        return replace(
            decision,
            status=Status.FAIL,
            reason=story.sentence(family),
            withheld=None,
            answers_to_go=None,
            notes=(alone if alone.endswith(".") else f"{alone}.", *decision.notes),
            flagged=Flagged(decision.status, story.certainty(family)),
        )
    if family.red_flag:
        return replace(decision, notes=(story.sentence(family), *decision.notes))
    if family.not_run and family.settings.red_flag == "fail" and decision.status is Status.PASS:
        names = joined([result.name for result in family.not_run])
        why = f"{names}, asked for as a fixed benchmark, was not run"
        return replace(
            decision, status=Status.UNDECIDED, reason=f"{why}; the questions alone would be a PASS", withheld=why
        )
    return decision
