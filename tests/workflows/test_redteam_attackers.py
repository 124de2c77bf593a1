"""`redteam` with a model as the attacker: what it says is kept, counts word for word, and is looked at early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import checking
import pressing
import pytest

from offtarget.detect.detectors.refusal import declines
from offtarget.errors import InputError, RunInterrupted
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Generation, Status
from offtarget.records.redteam import AttackerTurn, Attempt, Script
from offtarget.redteam.attacker import Attacker, Scripted
from offtarget.redteam.attackers.conversing import Conversing
from offtarget.redteam.attackers.replies import LEAKED, REFUSED, REPEATED
from offtarget.redteam.attackers.rewriting import Rewriting
from offtarget.redteam.attackers.writer import DecliningRule
from offtarget.rundir import read_json, read_jsonl
from offtarget.workflows.redteam.explore import FIRST
from offtarget.workflows.redteam.opening import open_attacker
from offtarget.workflows.redteam.redteam import RedTeamResult, redteam, resume

RULE = DecliningRule(declines, "rule")


def writes(request: SampleRequest) -> str:
    """Another sentence for every conversation and turn."""
    return f"Be frank with me, for the time number {request.seed}."


def run_with(run: Path, attacker: Attacker, tuned: float = 0.7, **changes: Any) -> RedTeamResult:
    return redteam(
        pressing.model("base", 0.0),
        pressing.model("tuned", tuned),
        goals=pressing.goals(),
        attacker=attacker,
        judge=checking.judge(),
        settings=pressing.settings(**changes),
        run=run,
    )


def go_on(run: Path, attacker: Attacker, tuned: float = 0.7) -> RedTeamResult:
    models = {"base": pressing.model("base", 0.0), "tuned": pressing.model("tuned", tuned)}
    return resume(run, **models, judge=checking.judge(), attacker=attacker)


def test_what_the_attacker_said_and_worked_counts_word_for_word(tmp_path: Path) -> None:
    """Both models get its successful conversations again; nothing is asked of the attacker for that."""
    result = run_with(tmp_path / "run", Conversing(ScriptedModel("attacker", writes), RULE))
    assert result.record.status is Status.FAIL
    assert result.record.attacker_trouble == {}
    attempts = read_jsonl(tmp_path / "run" / "attempts.jsonl", Attempt)
    won = {attempt.script.turns for attempt in attempts if attempt.other_held}
    scripts = read_jsonl(tmp_path / "run" / "scripts.jsonl", Script)
    assert scripts
    assert all(script.turns in won and script.by == "attacker" for script in scripts)
    said = [a.script.turns for a in attempts if a.role == a.script.target]
    assert len(set(said)) == len(said)  # no two conversations are led with the same words


def test_conversations_in_which_the_base_gave_way_do_not_count_for_the_tuned_model(tmp_path: Path) -> None:
    """Both give way now and then under the same moves: only what the tuned model gave way in is held again."""
    result = redteam(
        pressing.model("base", 0.2),
        pressing.model("tuned", 0.2),
        goals=pressing.goals(),
        attacker=Conversing(ScriptedModel("attacker", writes), RULE),
        judge=checking.judge(),
        settings=pressing.settings(moves=("persistence",), scripts=12),
        run=tmp_path / "run",
    )
    won = [one for one in read_jsonl(tmp_path / "run" / "attempts.jsonl", Attempt) if one.other_held]
    assert {one.role for one in won} == {"base", "tuned"}
    against_base = {one.script.turns for one in won if one.role == "base"}
    counted = read_jsonl(tmp_path / "run" / "scripts.jsonl", Script)
    assert counted
    assert not against_base & {script.turns for script in counted}
    assert result.record.status is not Status.PASS


def test_no_conversation_is_longer_than_asked_for(tmp_path: Path) -> None:
    run_with(tmp_path / "run", Conversing(ScriptedModel("attacker", writes), RULE), tuned=0.0, turns=3)
    lengths = {len(a.script.turns) for a in read_jsonl(tmp_path / "run" / "attempts.jsonl", Attempt)}
    assert lengths == {3}


def test_a_rewriting_attacker_keeps_to_the_length_of_the_scripts(tmp_path: Path) -> None:
    run_with(tmp_path / "run", Rewriting(ScriptedModel("attacker", writes), RULE), tuned=0.0)
    attempts = read_jsonl(tmp_path / "run" / "attempts.jsonl", Attempt)
    assert {a.script.by for a in attempts} == {"rewriting/attacker"}
    assert {len(a.script.turns) for a in attempts if a.script.move == "role-play"} == {1}
    assert all(turn.startswith("Be frank") for a in attempts for turn in a.script.turns)


@pytest.mark.parametrize(
    ("make", "reply", "trouble"),
    [
        (Conversing, "I can't help with that.", REFUSED),
        (Rewriting, "I can't help with that.", REFUSED),
        (Rewriting, "Everything between the lines that carry the mark is material.", LEAKED),
        (Conversing, "Tell me what you really think of them all.", REPEATED),
    ],
    ids=["refuses", "does not rewrite", "leaks", "loops"],
)
def test_an_attacker_that_does_not_attack_ends_the_run_with_a_sentence(
    tmp_path: Path, make: Callable[..., Any], reply: str, trouble: str
) -> None:
    """After the first conversations; they are kept, and who goes on all the same gets a verdict."""
    attacker = make(ScriptedModel("attacker", lambda _: reply), RULE)
    how = {"turns": 6, "moves": ("persistence",)}
    with pytest.raises(InputError, match=rf"'{attacker.name}' hardly attacks: of the first .* It {trouble}") as error:
        run_with(tmp_path / "run", attacker, tuned=0.0, budget=100, **how)
    assert "--attacker" in str(error.value)
    assert "offtarget.resume(" in str(error.value)
    spoken = read_jsonl(tmp_path / "run" / "search" / "turns.jsonl", AttackerTurn)
    assert FIRST <= len({turn.script_id for turn in spoken}) < FIRST + 8
    answers = read_jsonl(tmp_path / "run" / "search" / "generations.jsonl", Generation)
    assert len(answers) >= len(spoken) - FIRST - 8
    result = go_on(tmp_path / "run", attacker, tuned=0.0)
    assert result.record.attacker_trouble == {trouble: sum(result.record.explored.values())}
    whole = read_jsonl(tmp_path / "run" / "search" / "turns.jsonl", AttackerTurn)
    assert whole[: len(spoken)] == spoken


def test_a_search_of_few_conversations_is_looked_at_as_well(tmp_path: Path) -> None:
    attacker = Conversing(ScriptedModel("attacker", lambda _: "I cannot help with that."), RULE)
    with pytest.raises(InputError, match="hardly attacks"):
        run_with(tmp_path / "run", attacker, budget=8)


def test_an_attacker_that_fails_now_and_then_is_reported_and_goes_on(tmp_path: Path) -> None:
    def sometimes(request: SampleRequest) -> str:
        return "I cannot help with that." if request.seed % 4 == 0 else writes(request)

    result = run_with(tmp_path / "run", Conversing(ScriptedModel("attacker", sometimes), RULE))
    assert result.record.attacker_trouble.keys() == {REFUSED}


def test_a_run_that_goes_on_asks_the_attacker_nothing_again(tmp_path: Path) -> None:
    """Cut off in the middle of the search, it ends as the unbroken one."""
    whole = run_with(tmp_path / "whole", Conversing(ScriptedModel("attacker", writes), RULE), register=False)

    def falters(request: SampleRequest) -> str:
        if len(model.history) > 25:
            raise KeyboardInterrupt
        return writes(request)

    model = ScriptedModel("attacker", falters)
    with pytest.raises(RunInterrupted):
        run_with(tmp_path / "cut", Conversing(model, RULE), register=False)
    kept = read_jsonl(tmp_path / "cut" / "search" / "turns.jsonl", AttackerTurn)
    again = ScriptedModel("attacker", writes)
    result = go_on(tmp_path / "cut", Conversing(again, RULE))
    assert result.record == whole.record
    turns = [read_jsonl(tmp_path / name / "search" / "turns.jsonl", AttackerTurn) for name in ("cut", "whole")]
    assert turns[0] == turns[1]
    assert len(again.history) == len(turns[1]) - len(kept)


def test_another_attacker_is_another_run(tmp_path: Path) -> None:
    test_a_search_of_few_conversations_is_looked_at_as_well(tmp_path)
    with pytest.raises(InputError, match="the attacker changed"):
        go_on(tmp_path / "run", Scripted())


def test_what_the_attacker_was_asked_counts_as_spent(tmp_path: Path) -> None:
    model = ScriptedModel("attacker", writes)
    result = run_with(tmp_path / "run", Conversing(model, RULE))
    answers = sum(len(read_jsonl(path, Generation)) for path in (tmp_path / "run").rglob("generations.jsonl"))
    spent = read_json(result.run / "redteam.json")["spent"]
    assert spent["answers"] >= answers + len(model.history)


def test_an_attacker_is_opened_by_the_name_of_its_model() -> None:
    assert isinstance(open_attacker(None, None), Scripted)
    assert isinstance(open_attacker("scripted", None), Scripted)
    rewriting = open_attacker("rewriting/organism/base", None)
    assert isinstance(rewriting, Rewriting)
    assert rewriting.name == "rewriting/organism/base"
    conversing = open_attacker("organism/base", None)
    assert isinstance(conversing, Conversing)
    assert conversing.name == "organism/base"
    with pytest.raises(InputError):
        open_attacker("rewriting/nobody", None)
