"""Checks of the same are counted and paid for, whatever happened to them; an undecided one goes on for nothing."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import checking
import pytest

from offtarget.errors import InputError, RunInterrupted
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.progress import Progress
from offtarget.records import Outcome, Status, Verdict
from offtarget.register import state_root
from offtarget.rundir import RunDir, write_records
from offtarget.stats.wording import certainty_of
from offtarget.workflows.check.check import CheckResult, check
from offtarget.workflows.check.standing import evidence_of, register
from offtarget.workflows.runs.resume import resume


def made(run: Path, tuned: float | ScriptedModel = 0.5, **changes: Any) -> CheckResult:
    """A check of scripted models; with `judge` or `probes`, of others."""
    given = {"probes": checking.bank(), "judge": checking.judge()}
    given |= {name: changes.pop(name) for name in ("probes", "judge", "on_progress") if name in changes}
    model = tuned if isinstance(tuned, ScriptedModel) else checking.model("tuned", tuned)
    settings = checking.settings(**{"register": True, **changes})
    return check(checking.model("base", 0.0), model, settings=settings, run=run, **given)


def again(run: Path, tuned: float, **more: Any) -> CheckResult:
    models = {"base": checking.model("base", 0.0), "tuned": checking.model("tuned", tuned), "judge": checking.judge()}
    done = resume(run, **models, **more)  # type: ignore[arg-type]
    assert isinstance(done, CheckResult)
    return done


def test_the_third_check_of_a_model_says_so_and_is_surer(tmp_path: Path) -> None:
    first, second, third = (made(tmp_path / str(seed), seed=seed) for seed in range(3))
    assert [r.decision.settings.alpha for r in (first, second, third)] == [0.05, 0.0083, 0.0041]
    assert [r.decision.status for r in (first, second, third)] == [Status.FAIL] * 3
    assert not any("check 1 " in note for note in first.decision.notes)
    assert second.decision.notes[0].startswith(
        "This is check 2 of this model by this judge as far as this machine knows (earlier: FAIL)."
    )
    assert "at most 1 time in 243," in certainty_of(third.decision)
    said = third.decision.notes[0]
    assert said.startswith(
        "This is check 3 of this model by this judge as far as this machine knows (earlier: FAIL, FAIL)."
    )
    assert "wrong at most 1 time in 243, in place of 1 time in 20" in said
    assert "all checks of the same together stay below 7.5 %" in said
    assert [Path(e.run).name for e in third.decision.earlier] == ["0", "1"]
    for form in ("text", "markdown", "html", "json"):
        written = third.report(form, tmp_path / form)
        assert "check 3 of this model" in Path(written).read_text()
        assert "as far as this machine knows" in Path(written).read_text()


@pytest.mark.parametrize("other", ["tuned", "bank", "judge", "base cap"])
def test_only_checks_of_the_same_count(tmp_path: Path, other: str) -> None:
    made(tmp_path / "a")
    from offtarget.judge.scripted import ScriptedJudge

    changes: dict[str, Any] = {
        "tuned": {"tuned": ScriptedModel("another", lambda request: "bad")},
        "bank": {"probes": checking.bank(7)},
        "judge": {"judge": ScriptedJudge(lambda p, g: checking.OUTCOMES[g.text], "another")},
        "base cap": {"max_answers": 77, "seed": 5},  # other settings of the same are another check of the same
    }[other]
    found = made(tmp_path / "b", **changes)
    assert len(found.decision.earlier) == (1 if other == "base cap" else 0)


@pytest.mark.long
def test_a_killed_check_that_goes_on_is_one_check(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "tuned answers used":
            raise KeyboardInterrupt

    with pytest.raises(RunInterrupted):
        made(tmp_path / "a", 0.02, on_progress=stop, max_answers=40)
    done = again(tmp_path / "a", 0.02)
    assert done.decision.earlier == ()
    assert made(tmp_path / "b", 0.02, seed=1).decision.earlier[0].status == done.decision.status
    assert len(made(tmp_path / "c", 0.02, seed=2).decision.earlier) == 2


def test_a_killed_check_that_is_left_counts_without_a_verdict(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "tuned answers used":
            raise KeyboardInterrupt

    with pytest.raises(RunInterrupted):
        made(tmp_path / "a", 0.02, on_progress=stop)
    assert "(earlier: no verdict)" in made(tmp_path / "b", seed=1).decision.notes[0]


def test_a_check_that_ends_before_any_answer_was_judged_does_not_count(tmp_path: Path) -> None:
    def refuse(request: SampleRequest) -> str:
        raise InputError("The server has no such model.")

    for name in "abc":
        with pytest.raises(InputError, match="no such model"):
            made(tmp_path / name, ScriptedModel("tuned", refuse))
    assert made(tmp_path / "d", seed=1).decision.earlier == ()
    # and one of them that goes on is counted where it begins to see evidence
    assert len(again(tmp_path / "b", 0.5).decision.earlier) == 1


def test_the_same_check_with_the_same_answers_is_no_other_try(tmp_path: Path) -> None:
    first, second = made(tmp_path / "a"), made(tmp_path / "b")
    assert second.decision.status is first.decision.status
    assert second.decision.settings == first.decision.settings
    assert second.decision.earlier == ()
    assert any(f"The same answers came out as in {tmp_path / 'a'}" in note for note in second.decision.asides)
    third = made(tmp_path / "c", seed=1)
    assert len(third.decision.earlier) == 1
    assert made(tmp_path / "d", seed=1).decision.settings == third.decision.settings


def test_the_same_check_with_other_answers_is_another_try(tmp_path: Path) -> None:
    """A model behind a server answers the same seed otherwise: repeated until it passes, it would pass."""
    draw = random.Random(4)
    fickle = ScriptedModel("tuned", lambda request: "bad" if draw.random() < 0.5 else "good")
    first, second = made(tmp_path / "a", fickle), made(tmp_path / "b", fickle)
    assert (first.decision.settings.alpha, second.decision.settings.alpha) == (0.05, 0.0083)
    assert "check 2 of this model" in second.decision.notes[0]
    assert second.decision.overall.log_e_fail is not None
    assert second.decision.overall.log_e_fail >= 4.7  # -log(0.0083)


def test_the_same_answers_rated_otherwise_are_no_repetition(tmp_path: Path) -> None:
    """Who rates may say something else the second time, and only what comes to the same is the same."""
    run = RunDir(tmp_path)
    rated = [
        Verdict("tuned", "q0", 0, outcome, None, None, "", "people")
        for outcome in (Outcome.ALIGNED, Outcome.MISALIGNED)
    ]
    found = set()
    for verdict in rated:
        write_records(run, "ratings.jsonl", [verdict])
        found.add(evidence_of(run))
    assert len(found) == 2


@pytest.mark.parametrize("tuned", [0.0, 0.03, 0.3])
def test_an_undecided_check_goes_on_as_if_it_had_never_stopped(tmp_path: Path, tuned: float) -> None:
    whole = made(tmp_path / "whole", tuned, max_answers=400, register=False).decision
    short = made(tmp_path / "a", tuned, max_answers=10)
    assert short.decision.status is Status.UNDECIDED
    assert f"offtarget.resume('{tmp_path / 'a'}', base=..., " in str(short.report("terminal"))
    longer = again(tmp_path / "a", tuned, max_answers=400).decision
    assert (longer.status, longer.overall, longer.arms) == (whole.status, whole.overall, whole.arms)
    assert longer.settings.alpha == 0.05
    assert longer.earlier == ()
    entries = register().entries()
    assert len({entry.id for entry in entries}) == 1
    assert [entry.status for entry in entries] == [None, Status.UNDECIDED, longer.status]
    assert again(tmp_path / "a", tuned, max_answers=400).decision == longer


def test_what_cannot_go_further_says_why(tmp_path: Path) -> None:
    made(tmp_path / "a")
    with pytest.raises(InputError, match=r"is decided: FAIL\. .*--candidates C"):
        again(tmp_path / "a", 0.5, max_answers=5000)
    made(tmp_path / "b", 0.03, max_answers=20, seed=1)
    with pytest.raises(InputError, match="--max-answers 20, which can be raised and not lowered to 10"):
        again(tmp_path / "b", 0.03, max_answers=10)
    with pytest.raises(InputError, match="objects of your own"):
        resume(tmp_path / "b", max_answers=40)
    assert made(tmp_path / "c", candidates=2).decision.candidates == 2
    with pytest.raises(InputError, match="--candidates 2, which can be raised"):
        again(tmp_path / "c", 0.5, candidates=1)


def test_killed_between_the_two_halves_of_going_further_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "a", 0.0, max_answers=10)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("offtarget.workflows.check.further.write_json", killed)
        with pytest.raises(RunInterrupted):
            again(tmp_path / "a", 0.0, max_answers=400)
    assert again(tmp_path / "a", 0.0).decision.status is Status.UNDECIDED
    assert again(tmp_path / "a", 0.0, max_answers=400).decision.status is Status.PASS


def test_one_of_twenty_candidates_is_surer_and_says_so(tmp_path: Path) -> None:
    alone, one = made(tmp_path / "a", 0.15), made(tmp_path / "b", 0.15, candidates=20, register=False)
    assert one.decision.settings.alpha == 0.0025
    assert one.decision.notes[0].startswith("One of 20 candidates: each verdict is wrong at most 1 time in 400,")
    assert "a wrong FAIL of any of them has a probability of at most 5 %" in one.decision.notes[0]
    more = again(tmp_path / "a", 0.15, candidates=20)
    assert more.decision.overall == one.decision.overall
    assert more.decision.overall.tuned.total > alone.decision.overall.tuned.total


def test_a_check_outside_of_the_register_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    found = made(tmp_path / "a", register=False)
    assert any("--no-register" in note for note in found.decision.notes)
    assert not state_root().joinpath("checks.jsonl").exists()


@pytest.mark.parametrize("fault", ["damaged", "no folder"])
def test_a_register_that_cannot_be_used_is_named_with_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "damaged":
        state_root().mkdir(parents=True, exist_ok=True)
        (state_root() / "checks.jsonl").write_text('{"id": 1}\n')
    else:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("OFFTARGET_STATE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"checks\.jsonl.*OFFTARGET_STATE.*--no-register"):
        made(tmp_path / "a")


def test_the_entries_are_plain_lines(tmp_path: Path) -> None:
    made(tmp_path / "a")
    lines = (state_root() / "checks.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [None, "FAIL"]
    assert set(json.loads(lines[0])) == {f.name for f in dataclasses.fields(register().entries()[0])}
