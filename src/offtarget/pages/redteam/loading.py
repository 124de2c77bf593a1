"""A red-team run, as its run directory holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records import Generation, Look, Outcome, Role, Verdict
from offtarget.records.check import CountedAnswers
from offtarget.records.from_json import from_json
from offtarget.records.redteam import Attempt, Goal, RedTeamManifest, RedTeamRecord, Script, TurnVerdict
from offtarget.rundir import read_jsonl, read_manifest, read_object, read_record

RESULT, GOALS, ATTEMPTS, LOOKS = "redteam.json", "goals.jsonl", "attempts.jsonl", "looks.jsonl"
SCRIPTS, GENERATIONS, TURNS = "scripts.jsonl", "generations.jsonl", "turns.jsonl"
CONTROLS, OF_BASE = "controls", "of-base"
"""Files of the run directory; the last two are folders, with the scripts of what is in them beside them."""
RATINGS = "ratings.jsonl"
"""What people, or a stronger judge, said of conversations that the judge flagged, and of some others."""
GAVE_WAY, HELD, NOT_CONFIRMED = "gave way", "held", "not confirmed"
MARKS: Mapping[str, str] = {
    Outcome.MISALIGNED.value: GAVE_WAY,
    Outcome.ALIGNED.value: HELD,
    Outcome.REFUSED.value: HELD,
}
"""What an answer counts as under pressure; every other outcome keeps its name."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation that one model was held in, word for word."""

    key: str
    """`Generation.key` of its last answer."""
    role: Role
    script: Script
    answers: tuple[str, ...]
    marks: tuple[str, ...]
    """What each answer counts as: `gave way`, `held`, else its outcome; empty where nobody judged it."""

    @property
    def turn(self) -> int | None:
        """The first turn, from 1, at which the model gave way; None where it did not."""
        return self.marks.index(GAVE_WAY) + 1 if GAVE_WAY in self.marks else None

    @property
    def held(self) -> bool:
        """Whether the model held, as the verdict counts it: an answer without a score leaves that open."""
        return self.turn is None and HELD in self.marks and Outcome.UNSCORED.value not in self.marks


@dataclass(frozen=True, slots=True)
class PressedRun:
    """What there is to show."""

    path: Path
    manifest: RedTeamManifest
    record: RedTeamRecord
    goals: tuple[Goal, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    """Conversations of the search."""
    conversations: tuple[Conversation, ...] = ()
    """Those that the verdict counts, in the order in which they came."""
    controls: tuple[Conversation, ...] = ()
    of_base: tuple[Conversation, ...] = ()
    """Where the search found the base weak, if the tuned model failed; they can only take a FAIL back."""
    looks: tuple[Look, ...] = ()

    def of_cell(self, move: str, goal: str, role: Role) -> list[Conversation]:
        """The fresh conversations of a model under a move at a goal."""
        fresh = (*self.conversations, *self.of_base)
        return [c for c in fresh if (c.script.move, c.script.goal, c.role) == (move, goal, role)]

    def unpressed(self, one: Conversation) -> bool:
        """Whether a model gave way at the first turn, and that was the plain question: before the pressure began."""
        asked = {question.id: question.prompt for goal in self.goals for question in goal.questions}
        question = asked.get(one.script.question_id)
        return one.turn == 1 and question is not None and one.script.begins_bare(question)


def load_pressed(path: Path) -> PressedRun:
    """Read a finished run. InputError for damaged records, and for a run of another verb."""
    manifest = read_manifest(path)
    if not isinstance(manifest, RedTeamManifest):
        raise InputError(f"{path} is a run of `{manifest.verb}`, not of `redteam`.")
    way_out = "Delete that file and go on with `offtarget resume`."
    turns = {(one.key, one.turn): one for one in read_jsonl(path / TURNS, TurnVerdict)}
    rated = {one.key: one.outcome for one in read_jsonl(path / RATINGS, Verdict)}
    counts = _counted(path)
    answers = [g for g in read_jsonl(path / GENERATIONS, Generation) if _counts(g, counts)]
    return PressedRun(
        path=path,
        manifest=manifest,
        record=read_record(path / RESULT, RedTeamRecord, way_out, key="record"),
        goals=tuple(read_jsonl(path / GOALS, Goal)),
        attempts=tuple(read_jsonl(path / ATTEMPTS, Attempt)),
        conversations=_conversations(answers, read_jsonl(path / SCRIPTS, Script), turns, rated),
        controls=_beside(path, CONTROLS, turns),
        of_base=_beside(path, OF_BASE, turns),
        looks=tuple(read_jsonl(path / LOOKS, Look)),
    )


def _beside(path: Path, name: str, turns: Mapping[tuple[str, int], TurnVerdict]) -> tuple[Conversation, ...]:
    """Conversations beside the verdict, of both models."""
    answers = [g for role in ("tuned", "base") for g in read_jsonl(path / name / role / GENERATIONS, Generation)]
    return _conversations(answers, read_jsonl(path / f"{name}.jsonl", Script), turns, {})


def _conversations(
    answers: Iterable[Generation],
    scripts: Sequence[Script],
    turns: Mapping[tuple[str, int], TurnVerdict],
    rated: Mapping[str, Outcome],
) -> tuple[Conversation, ...]:
    by_id = {script.id: script for script in scripts}
    found = []
    for last in answers:
        script = by_id.get(last.probe_id)
        if script is None:
            continue
        said = (*last.opening, last.text)
        judged = [turns.get((last.key, number)) for number in range(1, len(said) + 1)]
        marks = tuple("" if one is None else MARKS.get(one.outcome, one.outcome) for one in judged)
        found.append(Conversation(last.key, last.role, script, said, _confirmed(marks, rated.get(last.key))))
    return tuple(found)


def _confirmed(marks: tuple[str, ...], by: Outcome | None) -> tuple[str, ...]:
    """The marks with what people, or a stronger judge, said of the whole conversation; None: nobody looked at it."""
    if by is None or (by is Outcome.MISALIGNED) == (GAVE_WAY in marks):
        return marks
    if by is Outcome.MISALIGNED:
        return (*marks[:-1], GAVE_WAY)
    return tuple(NOT_CONFIRMED if mark == GAVE_WAY else mark for mark in marks)


def _counted(path: Path) -> CountedAnswers | None:
    """Which conversations the verdict counts; None where the run says nothing of it: nobody was talked to."""
    value = read_object(path / RESULT).get("counted")
    if value is None:
        return None
    try:
        return from_json(CountedAnswers, value)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path / RESULT}: 'counted' is not a record of this version ({error}). Restore it, or start a new run."
        ) from None


def _counts(answer: Generation, record: CountedAnswers | None) -> bool:
    return record is None or answer.index < record.arms.get(answer.role, {}).get(answer.probe_id, 0)
