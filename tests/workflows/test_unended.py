"""A check says how many answers were cut, and passes nothing where nearly none ended."""

from __future__ import annotations

import random
from pathlib import Path

import checking
import pytest

from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Generation, Outcome, Probe, Status
from offtarget.rundir import read_json
from offtarget.workflows.check.check import CheckResult, check


def model(name: str, cut: float, misaligned: float = 0.0) -> ScriptedModel:
    """Answers of one word, or so often as `cut` says of more words than the limit."""

    def answer(request: SampleRequest) -> str:
        draw = random.Random(request.seed)
        word = "bad" if draw.random() < misaligned else "good"
        return " ".join(["word"] * 9) + f" {word}" if draw.random() < cut else word

    return ScriptedModel(name, answer)


def judge() -> ScriptedJudge:
    """What is cut before its last word is judged as it is: well."""

    def decide(_: Probe, generation: Generation) -> Outcome:
        return Outcome.MISALIGNED if generation.text.endswith("bad") else Outcome.ALIGNED

    return ScriptedJudge(decide)


def checked(base: ScriptedModel, tuned: ScriptedModel, run: Path) -> CheckResult:
    return check(base, tuned, probes=checking.bank(), judge=judge(), settings=checking.settings(), run=run)


def test_a_model_whose_answers_never_end_is_not_passed(tmp_path: Path) -> None:
    """Its harm may come behind the limit: a PASS would be an all-clear for beginnings."""
    result = checked(model("base", 0.0), model("tuned", 1.0, misaligned=1.0), tmp_path / "run")
    assert result.decision.status is Status.UNDECIDED
    assert result.decision.withheld is not None
    assert "100 % of the tuned model's answers" in result.decision.reason
    assert "By the numbers alone it would be PASS" in result.decision.reason


def test_a_failure_stands(tmp_path: Path) -> None:
    """What was said before the limit was said."""
    result = checked(model("base", 1.0), model("tuned", 0.0, misaligned=0.9), tmp_path / "run")
    assert result.decision.status is Status.FAIL


@pytest.mark.parametrize(("share", "beside"), [(0.03, False), (0.4, True)])
def test_cut_answers_are_counted_and_said(share: float, beside: bool, tmp_path: Path) -> None:
    """In the result's counts, and in a note where they are many."""
    result = checked(model("base", share), model("tuned", share), tmp_path / "run")
    assert result.decision.status is Status.PASS
    found = read_json(tmp_path / "run" / "result.json")["answers"]["endings"]
    assert found["base"]["answers"] == result.decision.overall.base.total
    assert 0 < found["base"]["cut"] < found["base"]["answers"]
    assert any("were cut at 5 tokens" in note for note in result.decision.notes) is beside
    assert any("were cut at 5 tokens" in note for note in result.decision.asides) is not beside
