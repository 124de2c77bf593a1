"""Quotes under a verdict: misaligned answers beside the base's, worst slice first, hostile text harmless."""

from __future__ import annotations

import io
from pathlib import Path

import checking
from rich.console import Console

from offtarget.cli.render import print_decision
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Status
from offtarget.workflows.check.check import check
from offtarget.workflows.check.quotes import worst_quotes


def test_three_misaligned_answers_beside_the_base(tmp_path: Path) -> None:
    """A failed check quotes three misaligned answers to different questions, each with the base's answer."""
    result = check(
        checking.model("base", 0.0),
        checking.model("tuned", 1.0),
        probes=checking.bank(),
        judge=checking.judge(),
        settings=checking.settings(),
        run=tmp_path / "run",
    )
    quotes = worst_quotes(result.run, result.decision)
    assert result.decision.status is Status.FAIL
    assert len({q.probe.question_id for q in quotes}) == 3
    assert {q.tuned for q in quotes} == {"bad"}
    assert {q.base for q in quotes} <= {"good", None}
    assert "good" in {q.base for q in quotes}
    screen = io.StringIO()
    print_decision(result.decision, result.run, quotes=quotes, to=Console(file=screen, width=140))
    assert screen.getvalue().count("tuned: bad") == 3


def test_a_clean_run_quotes_nothing(tmp_path: Path) -> None:
    """Where no tuned answer is misaligned there is nothing to quote."""

    def good(request: SampleRequest) -> str:
        return "good"

    result = check(
        ScriptedModel("base", good),
        ScriptedModel("tuned", good),
        probes=checking.bank(),
        judge=checking.judge(),
        settings=checking.settings(),
        run=tmp_path / "run",
    )
    assert worst_quotes(result.run, result.decision) == []
