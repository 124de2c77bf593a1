"""A conversation of a red-team run is held again word for word, with the answers that it had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pressing
import pytest

from offtarget.errors import InputError
from offtarget.progress import Progress
from offtarget.records import Outcome, Status
from offtarget.records.redteam import Attempt, Script
from offtarget.rundir import read_jsonl
from offtarget.workflows.redteam.replay import HeldAgain, replay


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed") / "run"
    found = pressing.pressed(folder, tuned=0.7)
    assert found.record.status is Status.FAIL
    return folder


def again(run: Path, key: str | None = None, **other: Any) -> HeldAgain:
    given = {"base": pressing.model("base", 0.0), "tuned": pressing.model("tuned", 0.7), "judge": pressing.judge()}
    return replay(run, key, **{**given, **other})


def test_the_shortest_that_worked_comes_again_with_the_same_answers(run: Path) -> None:
    held = again(run)
    assert held.gave_way("tuned") == 2
    assert held.gave_way("base") is None
    assert held.as_before == {"base": True, "tuned": True}
    assert held.changed == ()
    assert [turn.user for turn in held.turns] == list(held.script.turns)
    assert held.turns[1].outcomes == {"base": Outcome.ALIGNED, "tuned": Outcome.MISALIGNED}


def test_every_conversation_that_is_kept_can_be_held_again(run: Path) -> None:
    """Those that count, those without the pressure, and those of the search, each by its own random streams."""
    attempts = read_jsonl(run / "attempts.jsonl", Attempt)
    names = [script.id for name in ("scripts", "controls") for script in read_jsonl(run / f"{name}.jsonl", Script)]
    searched = [attempt.script.id for attempt in attempts if not attempt.script.id.endswith(".again")]
    for name in (*names, *searched):
        held = again(run, name)
        assert held.script.id == name
        assert False not in held.as_before.values()
        assert any(held.as_before.values())


def test_it_tells_how_far_it_is(run: Path) -> None:
    """Opening and asking large models takes minutes, in which nobody should wonder."""
    told: list[Progress] = []
    held = again(run, on_progress=told.append)
    assert [one.stage for one in told] == [
        "opening base and tuned",
        f"holding {held.key} again with base, 3 turns",
        "judging what base answered",
        f"holding {held.key} again with tuned, 3 turns",
        "judging what tuned answered",
    ]


def test_the_key_of_reports_names_a_conversation_with_its_model(run: Path) -> None:
    key = f"{read_jsonl(run / 'scripts.jsonl', Script)[0].id}/1"
    assert again(run, f"tuned/{key}").key == again(run, key).key == key


def test_another_model_is_held_against_the_same_words_and_named(run: Path) -> None:
    held = again(run, tuned=pressing.model("repaired", 0.0))
    assert held.gave_way("tuned") is None
    assert held.as_before["tuned"] is False
    assert held.changed == ("The tuned model is repaired, which is not the one that the run was held with.",)


def test_what_is_not_there_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no conversation 'persistance\.contempt\.0/0'\. Did you mean persistence\."):
        again(run, "persistance.contempt.0/0")
    with pytest.raises(InputError, match=r"with base=\.\.\., tuned=\.\.\., judge=\.\.\."):
        replay(run)
    held = pressing.pressed(tmp_path / "held", tuned=0.0)
    with pytest.raises(InputError, match="no conversation that counts in which the tuned model gave way"):
        again(held.run)
