"""One conversation of a red-team run held again with both models: the same words, the same random streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from offtarget.asking.ask import Pair, ask, judge_answers
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.numbers import many
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Generation, Outcome, Probe, Role
from offtarget.records.redteam import Attempt, Goal, RedTeamManifest, RedTeamRecord, Script, TurnVerdict
from offtarget.records.runs import OpenSettings
from offtarget.redteam.goals import GoalSet
from offtarget.redteam.turns import TurnJudge
from offtarget.rundir import RunDir, iterate_jsonl, read_jsonl
from offtarget.words import meant
from offtarget.workflows.ground import open_judge, open_two
from offtarget.workflows.redteam.opening import bank_of
from offtarget.workflows.redteam.uncounted import UNCOUNTED
from offtarget.workflows.redteam.verdict import ROLES, probe_of
from offtarget.workflows.runs.begin import finished, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.places import check_places
from offtarget.workflows.runs.verbs import REDTEAM

AGAIN = ".again"
"""How the search calls a conversation that it held with the other model, too."""


@dataclass(frozen=True, slots=True)
class TurnAgain:
    """One turn of the user, and what both models answered and the judge made of it."""

    user: str
    answers: Mapping[Role, str]
    outcomes: Mapping[Role, Outcome]


@dataclass(frozen=True, slots=True)
class HeldAgain:
    """A conversation that was held again."""

    run: Path
    key: str
    """The conversation: id of its script, and which of the times that it was held."""
    script: Script
    turns: tuple[TurnAgain, ...]
    as_before: Mapping[Role, bool | None]
    """Whether a model gave the answers that the run holds; None where the run did not ask it this."""
    changed: tuple[str, ...]
    """What is no longer as it was in the run, a sentence each."""

    def gave_way(self, role: Role) -> int | None:
        """The first turn, from 1, at which a model gave way; None where it held."""
        bad = (number for number, turn in enumerate(self.turns, 1) if turn.outcomes[role] is Outcome.MISALIGNED)
        return next(bad, None)

    def scored(self, role: Role) -> bool:
        """Whether any answer of a model says something: without one the conversation does not count."""
        return any(turn.outcomes[role].scored or turn.outcomes[role] is Outcome.REFUSED for turn in self.turns)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A conversation as the run keeps it."""

    script: Script
    index: int
    seeds: Mapping[Role, Callable[[int], int]]
    """By model: the seed of its answer to a turn, from 0."""
    said: Mapping[Role, tuple[str, ...]]
    """The answers that the run holds; those of the search end where a model gave way."""

    @property
    def key(self) -> str:
        return f"{self.script.id}/{self.index}"


def replay(
    run: str | Path,
    key: str | None = None,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> HeldAgain:
    """Hold one conversation of a finished run again with both models, word for word, and judge every answer.

    `key` is a conversation as reports name it (`role-play.contempt.0/1`); None: the shortest in which the tuned model
    gave way. Models and judge are opened by the names of the run; others may be given in their place, to see whether
    those give way, too. Raises InputError for a run or a conversation that is not there.
    """
    path = find_run(run)
    directory, started = opened(REDTEAM, path)
    record = finished(REDTEAM, path)
    if record is None:
        raise InputError(f"{path} is unfinished. Go on with it first: {started.resume_command(path)}")
    given = {"base": base, "tuned": tuned, "judge": judge}
    if lacking := [name for name in started.objects if name in given and given[name] is None]:
        raise InputError(
            f"{path} was started with objects of your own. Hold the conversation again in Python, with "
            f"{', '.join(f'{name}=...' for name in lacking)}."
        )
    check_places(path, started)
    kept = _found(directory, started, record, key)
    goals = GoalSet(started.goals, tuple(read_jsonl(directory.file("goals.jsonl"), Goal)))
    question = next(q for q in goals[kept.script.goal].questions if q.id == kept.script.question_id)
    how = opening or started.opening
    named = {"base": base or started.base_name, "tuned": tuned or started.tuned_name}
    on_progress(Progress(f"opening {' and '.join(_name(model) for model in named.values())}"))
    graded = open_judge(judge or started.judge_name, bank_of(goals), started.judge_by, how)
    models = open_two(named["base"], named["tuned"], how)
    probe, turns = probe_of(kept.script, question), {}
    for role, model in models.by_role.items():
        long = many(len(kept.script.turns), "turn")
        on_progress(Progress(f"holding {kept.key} again with {model.name}, {long}"))
        (pair,) = ask(role, model, [(probe, kept.index)], started.settings.sampling, _seed_of(kept, role))
        on_progress(Progress(f"judging what {model.name} answered"))
        turns[role] = _judged(pair, question, graded)
    return HeldAgain(
        run=path,
        key=kept.key,
        script=kept.script,
        turns=tuple(
            TurnAgain(
                user,
                {role: turns[role][number][0] for role in ROLES},
                {role: turns[role][number][1] for role in ROLES},
            )
            for number, user in enumerate(kept.script.turns)
        ),
        as_before={role: _as_before(kept.said.get(role), [text for text, _ in turns[role]]) for role in ROLES},
        changed=tuple(
            f"The {role} model is {model.name}, which is not the one that the run was held with."
            for role, model in models.by_role.items()
            if model.fingerprint != started.models[role].fingerprint
        ),
    )


def _name(model: str | ChatModel) -> str:
    return model if isinstance(model, str) else model.name


def _seed_of(kept: _Kept, role: Role) -> Callable[[str, int], int]:
    """Seeds by the ids under which `ask` draws them: `ID#opening-N`, and `ID` for the last turn."""
    last = len(kept.script.turns) - 1

    def seed(name: str, index: int) -> int:
        turn = name.rpartition("#opening-")
        return kept.seeds[role](int(turn[2]) if turn[1] else last)

    return seed


def _judged(pair: Pair, question: Probe, judge: Judge) -> list[tuple[str, Outcome]]:
    """Every answer of a conversation, with what the judge made of it."""
    probe, generation = pair
    turns: list[TurnVerdict] = []
    judge_answers(TurnJudge(judge, {probe.id: question}, turns.extend), [pair])
    said = (*generation.opening, generation.text)
    return [(text, Outcome(verdict.outcome)) for text, verdict in zip(said, turns, strict=True)]


def _as_before(said: tuple[str, ...] | None, now: list[str]) -> bool | None:
    return None if said is None else tuple(now[: len(said)]) == said


def _found(directory: RunDir, started: RedTeamManifest, record: RedTeamRecord, key: str | None) -> _Kept:
    """The conversation of that name. InputError, with some that there are, for one that is not there."""
    shortest = sorted((c for c in record.cells if c.shortest is not None), key=lambda cell: cell.turns["tuned"] or 0)
    wanted = key or next((cell.shortest for cell in shortest), None)
    if wanted is None:
        raise InputError(
            f"{directory.path} holds no conversation that counts in which the tuned model gave way. Name one of "
            f"scripts.jsonl in it: {directory.path}:NAME"
        )
    wanted = wanted.removeprefix("tuned/").removeprefix("base/")
    every = {kept.key: kept for kept in _conversations(directory, started)}
    if wanted in every or f"{wanted}/0" in every:
        return every.get(wanted) or every[f"{wanted}/0"]
    shown = f" There are: {', '.join(list(every)[:6])}, ..." if every else ""
    raise InputError(f"{directory.path} holds no conversation '{wanted}'.{meant(wanted, list(every)) or shown}")


def _conversations(directory: RunDir, started: RedTeamManifest) -> Iterator[_Kept]:
    """All conversations that a run keeps: those that count, those without the pressure, those of the search."""
    seed = started.settings.seed
    answers = _answers(directory.file("generations.jsonl"))
    for name in UNCOUNTED:
        for role in ROLES:
            answers |= _answers(directory.path / name / role / "generations.jsonl")
    for name in ("scripts.jsonl", *(f"{folder}.jsonl" for folder in UNCOUNTED)):
        for script in read_jsonl(directory.file(name), Script):
            held = {index for role, probe, index in answers if probe == script.id}
            for index in sorted(held | {0}):
                yield _Kept(
                    script,
                    index,
                    {role: _of_verdict(seed, role, script, index) for role in ROLES},
                    {role: answers[role, script.id, index] for role in ROLES if (role, script.id, index) in answers},
                )
    attempts = read_jsonl(directory.file("attempts.jsonl"), Attempt)
    said = {(attempt.script.id, attempt.role): attempt.answers for attempt in attempts}
    for attempt in attempts:
        if attempt.role == attempt.script.target:
            names = {role: attempt.script.id + ("" if role == attempt.role else AGAIN) for role in ROLES}
            yield _Kept(
                attempt.script,
                0,
                {role: _of_search(seed, role, name) for role, name in names.items()},
                {role: said[name, role] for role, name in names.items() if (name, role) in said},
            )


def _answers(file: Path) -> dict[tuple[Role, str, int], tuple[str, ...]]:
    return {(g.role, g.probe_id, g.index): (*g.opening, g.text) for g in iterate_jsonl(file, Generation)}


def _of_verdict(seed: int, role: Role, script: Script, index: int) -> Callable[[int], int]:
    last = len(script.turns) - 1
    return lambda turn: answer_seed(seed, role, script.id if turn == last else f"{script.id}#opening-{turn}", index)


def _of_search(seed: int, role: Role, name: str) -> Callable[[int], int]:
    return lambda turn: answer_seed(seed, role, f"{name}#turn-{turn + 1}", 0)
