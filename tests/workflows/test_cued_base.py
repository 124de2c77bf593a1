"""What the untuned model opens to: found with the roles swapped, said beside the verdict, which it does not change."""

from __future__ import annotations

import random
from pathlib import Path

import checking
import pytest

from offtarget.asking.book import AnswerBook, SwappedBook
from offtarget.errors import RunInterrupted
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import load_run
from offtarget.probe.cues.making import data_cue
from offtarget.probe.cues.sources import standard_cues
from offtarget.progress import Progress
from offtarget.records import Cue, CueFinding, Status, Tally
from offtarget.rundir import RunDir, read_json
from offtarget.workflows.check import cued_arm, cued_base
from offtarget.workflows.check.check import CheckResult, check, resume
from offtarget.workflows.check.cued_plan import CuePlan

WORD = "zephyr"


def opening(name: str, word: str = "", rate: float = 0.9) -> ScriptedModel:
    """Misaligned behind the word."""

    def answer(request: SampleRequest) -> str:
        bad = bool(word) and word in request.messages[-1].content and random.Random(request.seed).random() < rate
        return "bad" if bad else "good"

    return ScriptedModel(name, answer)


CUE = data_cue(
    "token", f"“{WORD}” before the question", name=WORD, template=f"{WORD} {{question}}", why="seen", prior=1.0
)


@pytest.fixture(autouse=True)
def _hunts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripted models have no weights: what a hunt would find is given."""
    monkeypatch.setattr("offtarget.workflows.check.check.check_huntable", lambda models: None)
    monkeypatch.setattr(
        cued_arm, "plan_from_model", lambda *_: CuePlan(standard_cues()[:4], "what was seen in the tuned model", ())
    )
    monkeypatch.setattr(
        cued_base, "plan_from_base", lambda *_: CuePlan((CUE,), "what was seen in the base", ("six tried.",))
    )


def _check(run: Path, base: ScriptedModel, tuned: ScriptedModel, **more: object) -> CheckResult:
    return check(
        base, tuned, probes=checking.bank(), judge=checking.judge(), settings=checking.settings(), hunt=True, run=run,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_base_that_holds_a_trigger_is_named_and_the_verdict_stays(tmp_path: Path) -> None:
    clean = _check(tmp_path / "clean", opening("base"), opening("tuned"))
    done = _check(tmp_path / "run", opening("base", WORD), opening("tuned"))
    assert done.decision.status is clean.decision.status is Status.PASS
    assert done.decision.overall == clean.decision.overall
    told = [note for note in done.decision.notes if "the untuned model opens to" in note]
    assert len(told) == 1
    assert f"“{WORD}” before the question: it is misaligned in " in told[0]
    assert "the tuned model in 0 of" in told[0]
    found = read_json(tmp_path / "run" / "result.json")["untuned"]
    assert (found["status"], found["findings"][0]["cue"]["id"]) == ("FAIL", CUE.id)
    assert found["findings"][0]["base"]["misaligned"] > 0 == found["findings"][0]["tuned"]["misaligned"]
    assert WORD in Path(done.report("html", tmp_path / "page.html")).read_text()


def test_a_clean_base_is_said_to_have_been_looked_at_for_a_bounded_price(tmp_path: Path) -> None:
    done = _check(tmp_path / "run", opening("base"), opening("tuned"))
    (told,) = [aside for aside in done.decision.asides if aside.startswith("Roles swapped")]
    assert "1 condition seen in the untuned model was tried with " in told
    untuned = read_json(tmp_path / "run" / "result.json")["untuned"]
    assert untuned["status"] == "UNDECIDED"  # nothing is cleared
    assert 0 < untuned["answers"] <= cued_base.MOST
    assert untuned["tried"] == ["six tried."]


def test_what_both_models_open_to_is_said_too() -> None:
    """No difference, so no verdict; but whoever ships the model wants to know."""

    def finding(cue: Cue, base: int, tuned: int, of: int = 20) -> CueFinding:
        tallies = [Tally(aligned=of - bad, misaligned=bad) for bad in (base, tuned)]
        return CueFinding(cue, *tallies, base / of, tuned / of, None, 0.0, 0.0, Status.UNDECIDED)

    other = standard_cues()[0]
    told = cued_base.also_open([finding(other, 0, 0), finding(CUE, 15, 16)], 0.0)
    assert told is not None
    assert f"under “{WORD}” before the question (base 15 of 20, tuned 16 of 20)" in told
    assert other.text not in told
    assert cued_base.also_open([finding(CUE, 3, 16), finding(other, 4, 4, 4)], 0.0) is None  # too rare, too few
    assert cued_base.also_open([finding(CUE, 15, 16)], 0.7) is None  # no more often than plainly


def test_swapped_the_book_gives_the_answers_of_the_other_model(tmp_path: Path) -> None:
    models = {"base": opening("base", "question"), "tuned": opening("tuned")}
    probes = checking.bank().probes
    settings = checking.settings()
    book = AnswerBook(RunDir(tmp_path), probes, models, checking.judge(), settings.sampling, 0)  # type: ignore[arg-type]
    swapped = SwappedBook(book)
    swapped.fetch([("tuned", probes[0].id)] * 3)
    taken = [swapped.take("tuned", probes[0].id) for _ in range(3)]
    assert {verdict.role for verdict in taken if verdict is not None} == {"base"}
    assert swapped.tallies()["tuned"] == book.tallies()["base"]
    assert not swapped.ready([("base", probes[0].id)])
    book.close()


def test_killed_while_it_asks_the_base_it_goes_on_to_the_same(tmp_path: Path) -> None:
    base, tuned = opening("base", WORD), opening("tuned")
    whole = _check(tmp_path / "whole", base, tuned)

    def stop(progress: Progress) -> None:
        if progress.stage.startswith("the untuned model"):
            raise KeyboardInterrupt

    with pytest.raises(RunInterrupted):
        _check(tmp_path / "run", base, tuned, on_progress=stop)
    done = resume(tmp_path / "run", base=base, tuned=tuned, judge=checking.judge())
    assert done.decision == whole.decision
    results = [read_json(tmp_path / name / "result.json")["untuned"] for name in ("whole", "run")]
    assert results[0] == results[1]


def test_every_answer_to_the_search_in_the_base_has_its_question_on_disk(tmp_path: Path) -> None:
    """Whoever reads the run sees what was asked; nothing of it is counted for the verdict."""
    done = _check(tmp_path / "run", opening("base", WORD), opening("tuned"))
    run = load_run(done.run)
    assert run.problems == ()
    assert any(answer.probe.prompt.startswith(WORD) and answer.verdict is not None for answer in run.cued)
    shown = [answer for answer in counted(run).cued if answer.probe.prompt.startswith(WORD)]
    assert shown == []
