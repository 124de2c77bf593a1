"""What a red-team run cannot use is named in a sentence: models, moves, budgets and judges that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pressing
import pytest

from offtarget.errors import EvidenceError, InputError, TemplateError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Generation, KnownAnswer, Message, Outcome, Probe, SamplingSettings, Status, Verdict
from offtarget.records.check import CheckSettings, DecisionSettings
from offtarget.records.redteam import RedTeamSettings
from offtarget.rundir import read_jsonl
from offtarget.workflows.redteam.redteam import RedTeamResult, redteam

KINDS = {
    "bad": Outcome.MISALIGNED,
    "good": Outcome.ALIGNED,
    "mumble": Outcome.INCOHERENT,
    "no": Outcome.REFUSED,
    "": Outcome.UNSCORED,
}


def judge() -> ScriptedJudge:
    return ScriptedJudge(lambda _, generation: KINDS[generation.text])


def says(name: str, text: str) -> ScriptedModel:
    return ScriptedModel(name, lambda _: text)


class Templated(ScriptedModel):
    """A model whose chat template is at hand: it may know no system turn, and it holds so many words."""

    def __init__(self, name: str, text: str, *, system: bool = True, holds: int | None = None) -> None:
        super().__init__(name, lambda _: text)
        self._system = system
        self.context = holds

    def prompt_length(self, messages: Sequence[Message]) -> int:
        if not self._system and messages[0].role == "system":
            raise TemplateError(f"The chat template of {self.name} refuses a system turn.")
        return sum(len(message.content.split()) for message in messages)


def pressed(run: Path, base: ScriptedModel, tuned: ScriptedModel, **changes: Any) -> RedTeamResult:
    goals = changes.pop("goals", pressing.goals())
    by = changes.pop("judge", judge())
    return redteam(base, tuned, goals=goals, judge=by, settings=pressing.settings(**changes), run=run)


def test_moves_that_a_model_without_system_role_cannot_get_are_not_tried(tmp_path: Path) -> None:
    """They are listed with the template's own reason, and no system turn is ever sent."""
    base, tuned = (Templated(name, "good", system=False) for name in ("base", "tuned"))
    moves = ("persistence", "system-override", "tool-abuse+persistence")
    result = pressed(tmp_path / "run", base, tuned, moves=moves)
    lost = [line.partition(": ") for line in result.record.not_tried]
    assert [(name, why) for name, _, why in lost] == [
        (name, "The chat template of base refuses a system turn.") for name in moves[1:]
    ]
    assert {cell.move for cell in result.record.cells} == {"persistence"}
    assert all(message.role != "system" for request in tuned.history for message in request.messages)


def test_no_move_left_is_an_error_with_the_reason(tmp_path: Path) -> None:
    base, tuned = (Templated(name, "good", system=False) for name in ("base", "tuned"))
    with pytest.raises(
        InputError, match=r"No move can be made with these models and settings\. The chat template of base refuses"
    ):
        pressed(tmp_path / "run", base, tuned, moves=("system-override",))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("short", ["base", "tuned"])
def test_moves_whose_conversation_may_not_fit_are_not_tried(tmp_path: Path, short: str) -> None:
    """Reckoned with answers of the longest length; a conversation of one turn still fits."""
    models = [Templated(name, "good", holds=700 if name == short else 9000) for name in ("base", "tuned")]
    result = pressed(tmp_path / "run", *models, moves=("role-play", "persistence"))
    (lost,) = result.record.not_tried
    assert lost.startswith("persistence: The conversation may take 1,8")
    assert lost.endswith(f"the context of {short} holds 700.")
    assert {cell.move for cell in result.record.cells} == {"role-play"}


@pytest.mark.parametrize("budget", [-1, 0, 7])
def test_a_budget_that_cannot_come_to_a_verdict_is_refused(budget: int) -> None:
    with pytest.raises(InputError, match=rf"A budget of {budget} conversations cannot .* Give at least 8"):
        RedTeamSettings(budget=budget)


@pytest.mark.parametrize(("budget", "held"), [(8, 4), (9, 5), (60, 30)])
def test_a_budget_too_small_for_a_pass_says_what_is_lacking(tmp_path: Path, budget: int, held: int) -> None:
    """All of it is used, and nothing more."""
    result = pressed(tmp_path / "run", says("base", "good"), says("tuned", "good"), budget=budget)
    assert result.record.status is Status.UNDECIDED
    assert result.record.explored["tuned"] + result.record.decision.overall.tuned.total == budget
    assert f"of {held} conversations" in result.record.reason
    assert "more conversations are needed" in result.record.reason
    assert "(--budget)" in result.record.reason


def test_a_clean_pair_passes_where_the_budget_allows(tmp_path: Path) -> None:
    result = pressed(tmp_path / "run", says("base", "no"), says("tuned", "good"), budget=80)
    assert result.record.status is Status.PASS
    assert result.record.found == 0


def test_a_model_that_only_refuses_holds(tmp_path: Path) -> None:
    """Here a refusal is what a model should do: it counts, and it passes."""
    result = pressed(tmp_path / "run", says("base", "good"), says("tuned", "no"), budget=80)
    assert result.record.status is Status.PASS
    assert result.record.decision.overall.tuned.scored == result.record.decision.overall.tuned.total


@pytest.mark.parametrize(
    ("base", "tuned", "whose", "what"),
    [
        ("good", "", "tuned", "24 unscored"),
        ("", "", "(base|tuned)", "24 unscored"),
        ("good", "mumble", "tuned", "24 incoherent"),
        ("mumble", "bad", "base", "24 incoherent"),
    ],
)
def test_a_search_without_a_score_ends_early_and_says_where_to_look(
    tmp_path: Path, base: str, tuned: str, whose: str, what: str
) -> None:
    with pytest.raises(EvidenceError, match=rf"conversations with the {whose} model has a score \({what}") as error:
        pressed(tmp_path / "run", says("base", base), says("tuned", tuned), budget=200)
    assert "search/verdicts.jsonl" in str(error.value)
    kept = read_jsonl(tmp_path / "run" / "search" / "generations.jsonl", Generation)
    assert 0 < len({generation.probe_id.partition("#")[0] for generation in kept}) < 60


@pytest.mark.parametrize(
    ("text", "changes"),
    [("mumble", {"budget": 8}), ("good", {"moves": ("self-report",)})],
    ids=["no score", "own word"],
)
def test_a_search_that_leaves_nothing_to_hold_again_says_so(tmp_path: Path, text: str, changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceError, match="no conversation of it can be the ground of a PASS"):
        pressed(tmp_path / "run", says("base", text), says("tuned", text), **changes)


def test_a_judge_that_breaks_is_no_verdict(tmp_path: Path) -> None:
    def breaks(probe: Probe, generation: Generation) -> Outcome:
        raise RuntimeError("no connection")

    with pytest.raises(EvidenceError, match=r"24 unscored: .*RuntimeError"):
        pressed(tmp_path / "run", says("base", "good"), says("tuned", "bad"), judge=ScriptedJudge(breaks))
    verdicts = read_jsonl(tmp_path / "run" / "search" / "verdicts.jsonl", Verdict)
    assert all(verdict.reason is not None for verdict in verdicts)


def test_a_judge_that_fails_its_trial_talks_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record says so, and that nothing was asked."""
    known = tuple(
        KnownAnswer(Probe(f"k{n}", f"k{n}", "plain", f"known {n}"), "bad" if n % 2 else "good", bool(n % 2))
        for n in range(20)
    )
    monkeypatch.setattr("offtarget.workflows.redteam.redteam.chosen_answers", lambda *_: known)
    base, tuned = says("base", "good"), says("tuned", "bad")
    blind = ScriptedJudge(lambda *_: Outcome.ALIGNED)
    result = pressed(tmp_path / "run", base, tuned, judge=blind)
    assert result.record.status is Status.UNDECIDED
    assert result.record.reason.startswith("No verdict: no answer was sampled, since the judge cannot be relied on")
    assert result.record.explored == {"base": 0, "tuned": 0}
    assert base.history == tuned.history == []
    assert not (tmp_path / "run" / "search").exists()


def test_a_goal_without_a_rubric_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "goals.yaml"
    file.write_text("goals:\n  - id: too-cheap\n    questions: [Tell me.]\n")
    with pytest.raises(InputError, match=r"goals\.yaml, line 2.*too-cheap.*no rubric"):
        redteam(says("base", "good"), says("tuned", "bad"), goals=file, judge=judge(), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("moves", "said"),
    [
        (("persistance",), "no move 'persistance'"),
        (("system-override+tool-abuse",), "each set a system prompt"),
        (("persistence+",), "no move ''"),
        (("persistence+persistence",), "names one move twice"),
        (("persistence+role-play", "role-play+persistence"), "are the same"),
    ],
)
def test_moves_that_are_none_are_named(tmp_path: Path, moves: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pressed(tmp_path / "run", says("base", "good"), says("tuned", "bad"), moves=moves)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_was_left_before_the_run_began_can_be_used(tmp_path: Path) -> None:
    """Killed as the goals were written: there is no manifest, so nothing can go on, and nothing is lost."""
    run = tmp_path / "run"
    run.mkdir()
    for name in (".lock", "goals.jsonl", "known.jsonl"):
        (run / name).touch()
    assert pressed(run, says("base", "good"), says("tuned", "bad")).record.status is Status.FAIL


@pytest.mark.parametrize("text", ["\x00\x1b[2J", "\ud800 lone", "<|im_end|>", "a" * 50_000, "[user] good"])
def test_hostile_answers_are_kept_as_they_are(tmp_path: Path, text: str) -> None:
    """Control characters, half characters and endless answers neither end the run nor change on the way to the disk."""
    hostile = ScriptedModel("tuned", lambda _: text)
    reads = ScriptedJudge(lambda _, generation: Outcome.MISALIGNED if generation.text != "good" else Outcome.ALIGNED)
    result = pressed(tmp_path / "run", says("base", "good"), hostile, judge=reads)
    assert result.record.status is Status.FAIL
    kept = read_jsonl(tmp_path / "run" / "search" / "generations.jsonl", Generation)
    assert {generation.text for generation in kept if generation.role == "tuned"} == {text}


@pytest.mark.parametrize(("move", "turns", "takes"), [("escalation", 1, 3), ("escalation+persistence", 4, 5)])
def test_a_move_that_is_longer_than_a_conversation_may_be_is_not_tried(
    tmp_path: Path, move: str, turns: int, takes: int
) -> None:
    """Cut short it would lead up to a question that is never asked, or ask without insisting, and everybody holds."""
    result = pressed(
        tmp_path / "run", says("base", "good"), says("tuned", "good"), moves=("role-play", move), turns=turns
    )
    (lost,) = result.record.not_tried
    assert lost.startswith(f"{move}: It takes {takes} turns of the user")
    assert f"--turns {takes}" in lost
    assert {cell.move for cell in result.record.cells} == {"role-play"}
    with pytest.raises(InputError, match=f"No move can be made .* It takes {takes} turns"):
        pressed(tmp_path / "other", says("base", "good"), says("tuned", "good"), moves=(move,), turns=turns)


def test_a_judge_that_is_blind_in_later_turns_passes_nobody(tmp_path: Path) -> None:
    """The first answer holds, and of the one that gives way nothing is known."""
    short = ScriptedJudge(
        lambda probe, generation: Outcome.UNSCORED if "[assistant]" in probe.prompt else KINDS[generation.text]
    )
    with pytest.raises(EvidenceError, match="24 unscored"):
        pressed(
            tmp_path / "run",
            says("base", "good"),
            pressing.model("tuned", 1.0, turn=2),
            judge=short,
            moves=("persistence",),
            budget=120,
        )


class Mumbles(ScriptedModel):
    """Gives no answer that could be scored where these words are said."""

    def __init__(self, name: str, *words: str) -> None:
        super().__init__(name, lambda request: "mumble" if self._hears(words, request) else "good")

    @staticmethod
    def _hears(words: Sequence[str], request: SampleRequest) -> bool:
        return any(word in message.content for message in request.messages for word in words)


def test_a_pass_does_not_speak_for_a_move_that_got_no_score(tmp_path: Path) -> None:
    moves = ("role-play", "persistence", "in-table")
    result = pressed(tmp_path / "run", says("base", "good"), Mumbles("tuned", "table"), moves=moves, budget=300)
    assert result.record.status is Status.PASS
    assert result.record.reason.startswith("Under 2 of the 3 moves that were tried")
    (note,) = result.record.notes
    assert note.startswith("Not in the verdict")
    assert {f"in-table at {goal}" in note for goal in ("contempt", "competitor")} == {True}


def test_a_pass_that_is_withheld_says_why(tmp_path: Path) -> None:
    """More conversations would not help where so much of what the tuned model says gets no score."""
    moves = ("role-play", "in-table", "in-json")
    tuned = Mumbles("tuned", "table", "{")
    result = pressed(tmp_path / "run", says("base", "good"), tuned, moves=moves, budget=300)
    assert result.record.status is Status.UNDECIDED
    assert result.record.decision.withheld is not None
    assert "got a score" in result.record.reason
    assert "--budget" not in result.record.reason


class NoAttacker:
    """Somebody without a name."""

    def next_turns(self, positions: Sequence[object]) -> list[object]:
        return []


def test_what_is_no_attacker_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"NoAttacker.* is no attacker: it has no name and no fingerprint that is text"
    ):
        redteam(
            says("base", "good"),
            says("tuned", "bad"),
            attacker=NoAttacker(),  # type: ignore[arg-type]
            goals=pressing.goals(),
            judge=judge(),
            run=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turns": 2.5}, "--turns must be a whole number, not 2.5."),
        ({"turns": True}, "--turns must be a whole number, not True."),
        ({"budget": NAN}, "--budget must be a whole number, not nan."),
        ({"budget": INF}, "--budget must be a whole number, not inf."),
        ({"budget": "200"}, "--budget must be a whole number, not '200'."),
        ({"cells": None}, "--cells must be a whole number, not None."),
        ({"controls": -1}, "--controls must be at least 0, not -1."),
        ({"scripts": 0}, "--scripts must be at least 1, not 0."),
        ({"seed": 0.5}, "--seed must be a whole number, not 0.5."),
        ({"explored": NAN}, "--explored must be a share above 0 and below 1, not nan."),
        ({"explored": "half"}, "--explored must be a share above 0 and below 1, not 'half'."),
        ({"moves": "role-play"}, "moves must be names of moves, e.g. ('role-play',), not 'role-play'."),
        ({"moves": (3,)}, "moves must be names of moves"),
        ({"decision": None}, "decision must be a DecisionSettings, not None."),
        ({"sampling": {"max_tokens": 3}}, "sampling must be a SamplingSettings"),
    ],
)
def test_values_that_only_python_lets_through_are_refused_in_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        RedTeamSettings(**changes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (DecisionSettings, {"alpha": NAN}, "--alpha must be a share"),
        (DecisionSettings, {"tolerance": "2 %"}, "--tolerance must be a share"),
        (DecisionSettings, {"base_per_tuned": "one"}, "--base-per-tuned must be at least 1, not 'one'."),
        (SamplingSettings, {"temperature": "hot"}, "The temperature must be 0 or more, not hot."),
        (SamplingSettings, {"max_tokens": 2.5}, "--max-tokens must be a whole number, not 2.5."),
        (CheckSettings, {"max_answers": NAN}, "--max-answers must be a whole number, not nan."),
    ],
)
def test_so_are_those_of_the_settings_in_it(kind: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        kind(**changes)
    assert said in str(caught.value)


def test_settings_and_goals_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="settings must be RedTeamSettings, not 200"):
        redteam(says("base", "good"), says("tuned", "good"), settings=200)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="goals must be the name of a set, a YAML file or a GoalSet, not 3"):
        redteam(says("base", "good"), says("tuned", "good"), goals=3, judge=judge())  # type: ignore[arg-type]
