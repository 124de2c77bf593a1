"""Red teams of the same models, goals and judge are counted and paid for, as checks are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pressing
import pytest

from offtarget.errors import RunInterrupted
from offtarget.progress import Progress
from offtarget.records import Status
from offtarget.redteam.goals import GoalSet
from offtarget.workflows.check.standing import latest, register
from offtarget.workflows.redteam.redteam import RedTeamResult, redteam
from offtarget.workflows.runs.resume import resume


def alpha(found: RedTeamResult) -> float:
    return found.record.decision.settings.alpha


def test_the_second_red_team_of_a_model_says_so_and_is_surer(tmp_path: Path) -> None:
    first, second = (pressing.pressed(tmp_path / str(seed), tuned=0.8, seed=seed) for seed in range(2))
    assert (alpha(first), alpha(second)) == (0.05, 0.0083)
    assert [one.record.status for one in (first, second)] == [Status.FAIL, Status.FAIL]
    assert [Path(one.run).name for one in second.record.decision.earlier] == ["0"]
    assert second.record.notes[0].startswith("This is red team 2 of this model by this judge")
    assert not any("red team 1 " in note for note in first.record.notes)


def test_the_same_again_is_no_new_try(tmp_path: Path) -> None:
    first, again = (pressing.pressed(tmp_path / name, tuned=0.8) for name in ("first", "again"))
    assert alpha(again) == alpha(first)
    assert dataclasses.replace(again.record.decision, asides=()) == dataclasses.replace(
        first.record.decision, asides=()
    )
    assert any("this is that red team again" in aside for aside in again.record.decision.asides)


@pytest.mark.parametrize("other", ["tuned", "goals", "budget"])
def test_only_those_of_the_same_count(tmp_path: Path, other: str) -> None:
    pressing.pressed(tmp_path / "first", tuned=0.8)
    given: dict[str, Any] = {"tuned": pressing.model("tuned", 0.8), "goals": pressing.goals()}
    if other == "tuned":
        given["tuned"] = pressing.model("another", 0.8)
    if other == "goals":
        given["goals"] = GoalSet("fewer", pressing.goals().goals[:1])
    found = redteam(
        pressing.model("base", 0.0),
        judge=pressing.judge(),
        settings=pressing.settings(seed=1, budget=50 if other == "budget" else 60),
        run=tmp_path / "second",
        **given,
    )
    assert len(found.record.decision.earlier) == (1 if other == "budget" else 0)


def test_one_that_goes_on_is_one_and_one_without_evidence_is_none(tmp_path: Path) -> None:
    def stop(at: str) -> Any:
        def told(progress: Progress) -> None:
            if at in progress.stage:
                raise KeyboardInterrupt

        return told

    models = {"base": pressing.model("base", 0.0), "tuned": pressing.model("tuned", 0.8), "judge": pressing.judge()}
    how = {"goals": pressing.goals(), "settings": pressing.settings()}
    for name, at in (("search", "conversations of the search"), ("counting", "conversations that count")):
        with pytest.raises(RunInterrupted):
            redteam(**models, **how, run=tmp_path / name, on_progress=stop(at))  # type: ignore[arg-type]
    assert [Path(entry.run).name for entry in latest(register().entries())] == ["counting"]
    done = resume(tmp_path / "counting", **models)  # type: ignore[arg-type]
    assert isinstance(done, RedTeamResult)
    assert alpha(done) == 0.05


def test_one_that_is_not_counted_says_so(tmp_path: Path) -> None:
    found = [pressing.pressed(tmp_path / str(seed), tuned=0.8, seed=seed, register=False) for seed in range(2)]
    assert [alpha(one) for one in found] == [0.05, 0.05]
    assert any("This red team is not counted" in note for note in found[1].record.notes)
