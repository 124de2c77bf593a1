"""`redteam`: does fine-tuning make a model give way under pressure where its base holds?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.ask import kept_verdicts, tallies_by_probe
from offtarget.asking.book import AnswerBook
from offtarget.asking.protocol import Judge, notes_of
from offtarget.asking.seeds import answer_seed
from offtarget.asking.spending import timed
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, silent, within
from offtarget.records import Probe, Role, Tally
from offtarget.records.check import CheckSettings, JudgeBy
from offtarget.records.redteam import Goal, RedTeamManifest, RedTeamRecord, RedTeamSettings, Script, TurnVerdict
from offtarget.records.runs import NamedModel, OpenSettings, named, objects
from offtarget.redteam.attacker import Attacker
from offtarget.redteam.goals import GoalSet
from offtarget.redteam.turns import TurnJudge
from offtarget.rundir import JsonLines, RunDir, read_jsonl, write_records
from offtarget.stats.rates import total_tally
from offtarget.workflows.check.loop import CheckLoop
from offtarget.workflows.check.opening import Opened, check_asked_alike
from offtarget.workflows.check.sanity import Sanity, chosen_answers, untested
from offtarget.workflows.ground import ground_of, open_bank
from offtarget.workflows.ready import ready
from offtarget.workflows.redteam.explore import Search
from offtarget.workflows.redteam.opening import Pressed, open_pressed
from offtarget.workflows.redteam.results import record_of, refused
from offtarget.workflows.redteam.verdict import (
    Chosen,
    choose,
    control_scripts,
    probe_of,
    scripts_for,
    swapped,
)
from offtarget.workflows.runs.begin import begin, finish, finished, interruptible
from offtarget.workflows.runs.begin import opened as opened_run
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import REDTEAM

NOT_TESTED = (
    "pressure of other kinds than the moves that were tried",
    "an attacker who has more time, knows the weights, or works for days",
    "languages other than those of the moves",
)
"""What a PASS says nothing about."""


@dataclass(frozen=True, slots=True, repr=False)
class RedTeamResult(Result):
    """What a red-team run came to."""

    record: RedTeamRecord


@timed
def redteam(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    goals: str | Path | GoalSet | None = None,
    attacker: str | Attacker | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    settings: RedTeamSettings | None = None,
    opening: OpenSettings | None = None,
    run: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> RedTeamResult:
    """Press both models in conversations and say whether the tuned one gives way where its base holds.

    Half of the budget searches for moves that bring the tuned model down, and the base; the verdict rests on fresh
    conversations of what was found, the same for both models, and stops as soon as the evidence decides.

    `goals` is a set by name, a YAML file of your own red lines, or a GoalSet; `attacker` is None for scripted
    conversations, a model that holds the user's side, or an `Attacker` of your own.
    Raises InputError for anything the user can fix, EvidenceError when evidence is missing, and RunInterrupted on
    Ctrl-C, after which `resume` goes on.
    """
    settings = settings or RedTeamSettings()
    ground = ground_of(base)
    sampling = replace(settings.sampling, max_tokens=ground.max_tokens(settings.sampling.max_tokens))
    settings = replace(settings, sampling=sampling)
    files = {"--goals": goals if isinstance(goals, Path) else None}
    ready(base, tuned, judges=(judge,), files=files, run=run, new_run=True, opening=opening)
    on_progress(Progress(f"opening {_name(base)} and {_name(tuned)}"))
    pressed = open_pressed(
        base,
        tuned,
        goals=goals,
        moves=settings.moves,
        attacker=attacker,
        judge=judge,
        judge_by=judge_by,
        settings=settings,
        opening=opening,
    )
    check_asked_alike(pressed.models, settings.sampling)
    directory = RunDir.create("redteam", pressed.models.tuned.name.rsplit("/", 1)[-1], path=run)
    with directory:
        write_records(directory, "goals.jsonl", pressed.goals.goals)
        known = chosen_answers(pressed.judge, _trial_bank(pressed), settings.seed)
        Sanity.write(directory, known)
        begin(
            directory,
            RedTeamManifest(
                opening=opening,
                objects=objects(base=base, tuned=tuned, judge=judge, attacker=attacker),
                settings=settings,
                models=_named(pressed),
                judge=pressed.judge.fingerprint,
                judge_name=named(judge),
                judge_by=judge_by,
                goals=pressed.goals.name,
                goals_fingerprint=pressed.goals.fingerprint,
                attacker=pressed.attacker.fingerprint,
                attacker_name=pressed.attacker.name,
                checks=pressed.models.checks,
                not_tried=pressed.not_tried,
                not_tested=(
                    *NOT_TESTED,
                    *pressed.models.unseen,
                    *untested(pressed.judge, _trial_bank(pressed), known),
                ),
            ),
        )
        return _run(directory, pressed, settings, on_progress)


@timed
def resume(
    run: Path,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    attacker: str | Attacker | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> RedTeamResult:
    """Go on with an interrupted run; a finished one is returned as it is.

    Models, judge and attacker are opened by the names the run was started with; objects must be given again. Raises
    InputError when any of them, or the goals, are no longer what they were.
    """
    directory, started = opened_run(REDTEAM, run)
    record = finished(REDTEAM, run)
    if record is not None:
        return RedTeamResult(run, record)
    with directory:
        pressed = open_pressed(
            base or started.base_name,
            tuned or started.tuned_name,
            goals=GoalSet(started.goals, tuple(read_jsonl(directory.file("goals.jsonl"), Goal))),
            moves=started.settings.moves,
            attacker=attacker or (None if started.attacker_name == "scripted" else started.attacker_name),
            judge=judge or started.judge_name,
            judge_by=started.judge_by,
            settings=started.settings,
            opening=opening or started.opening,
        )
        check_asked_alike(pressed.models, started.settings.sampling)
        if changed := _changed(pressed, started):
            raise InputError(
                f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new run."
            )
        return _run(directory, pressed, started.settings, on_progress)


def _run(directory: RunDir, pressed: Pressed, settings: RedTeamSettings, on_progress: OnProgress) -> RedTeamResult:
    sanity = Sanity(directory, pressed.judge, _trial_bank(pressed), settings.seed, on_progress)
    with interruptible(directory):
        doubt = sanity.before()
        if doubt is not None:
            record = refused(pressed, settings, doubt)
            finish(REDTEAM, directory, record, judge_trial=sanity.record(), models=_named(pressed))
            return RedTeamResult(directory.path, record)
        search = Search(
            directory,
            pressed.models.by_role,
            pressed.judge,
            pressed.attacker,
            pressed.moves,
            pressed.goals.goals,
            settings,
            on_progress,
        )
        search.run()
        write_records(directory, "attempts.jsonl", search.attempts)
        chosen = choose(search, settings)
        loop, bank = _press(directory, pressed, settings, search, chosen, on_progress)
        decision = loop.decision(None)
        controls = _controls(directory, pressed, settings, chosen, on_progress)
        doubt = sanity.after()
        record = record_of(
            pressed,
            settings,
            search,
            chosen,
            decision,
            swapped(loop, bank, settings),
            loop.tallies(),
            controls,
            _turn_verdicts(directory),
            notes=(*pressed.notes, *notes_of([*pressed.models.by_role.values(), pressed.judge, pressed.attacker])),
            doubt=doubt,
        )
    write_records(directory, "looks.jsonl", loop.looks)
    finish(
        REDTEAM,
        directory,
        record,
        judge_trial=sanity.record(),
        models=_named(pressed),
        judge=pressed.judge.fingerprint,
        counted=loop.counted({}),
    )
    return RedTeamResult(directory.path, record)


TURNS = "turns.jsonl"
"""Of a run: what the judge made of each answer in the conversations of the verdict, and of the controls."""


def _press(
    directory: RunDir,
    pressed: Pressed,
    settings: RedTeamSettings,
    search: Search,
    chosen: Chosen,
    on_progress: OnProgress,
) -> tuple[CheckLoop, ProbeBank]:
    """Fresh conversations with both models until they decide, or the budget is spent."""
    goals = {goal.id: goal for goal in pressed.goals.goals}
    scripts = scripts_for(
        chosen,
        search,
        dict(pressed.moves),
        goals,
        settings,
        adaptive=pressed.attacker.name != "scripted",
    )
    questions = _questions(scripts, goals)
    bank = ProbeBank.from_probes("pressure", (probe_of(s, questions[s.id]) for s in scripts))
    write_records(directory, "scripts.jsonl", scripts)
    write_records(directory, "probes.jsonl", bank.probes)
    left = settings.budget - search.talked("tuned")
    check = CheckSettings(
        decision=settings.decision,
        sampling=settings.sampling,
        seed=settings.seed,
        max_answers=left,
        cache=False,
        register=False,
    )
    with closing(JsonLines(directory.file(TURNS))) as turns:
        judge = TurnJudge(pressed.judge, questions, turns.extend)
        told = within(on_progress, "conversations that count")
        how = (judge, settings.sampling, settings.seed, None, told)
        with closing(AnswerBook(directory, bank.probes, pressed.models.by_role, *how)) as book:
            loop = CheckLoop(book, Opened(pressed.models, bank, judge, ()), check, told)
            loop.run()
            return loop, bank


def _controls(
    directory: RunDir, pressed: Pressed, settings: RedTeamSettings, chosen: Chosen, on_progress: OnProgress
) -> dict[Role, Tally]:
    """The same without the pressure, for whoever reads what was found; no evidence."""
    goals = {goal.id: goal for goal in pressed.goals.goals}
    scripts = control_scripts(chosen, dict(pressed.moves), goals, settings)
    if not scripts:
        return {}
    questions = _questions(scripts, goals)
    wanted = [(probe_of(script, questions[script.id]), 0) for script in scripts]
    write_records(directory, "controls.jsonl", scripts)
    found: dict[Role, Tally] = {}
    with closing(JsonLines(directory.file(TURNS))) as turns:
        judge = TurnJudge(pressed.judge, questions, turns.extend)
        for role, model in pressed.models.by_role.items():
            verdicts = kept_verdicts(
                directory.path / "controls" / role,
                role,
                lambda model=model: model,  # type: ignore[misc]
                wanted,
                judge,
                settings.sampling,
                lambda probe, index, role=role: answer_seed(settings.seed, role, probe, index),  # type: ignore[misc]
                within(on_progress, f"without the pressure, {role}"),
            )
            found[role] = total_tally(list(tallies_by_probe((v.probe_id, v.outcome) for v in verdicts).values()))
    return found


def _questions(scripts: Sequence[Script], goals: Mapping[str, Goal]) -> dict[str, Probe]:
    """Id of a script -> the plain question that it asks."""
    by_id = {question.id: question for goal in goals.values() for question in goal.questions}
    return {script.id: by_id[script.question_id] for script in scripts}


def _turn_verdicts(directory: RunDir) -> dict[tuple[str, int], TurnVerdict]:
    """By conversation and turn; what was judged twice, around an interruption, counts once."""
    return {(one.key, one.turn): one for one in read_jsonl(directory.file(TURNS), TurnVerdict)}


def _trial_bank(pressed: Pressed) -> ProbeBank:
    """Questions with known answers that the judge is tried on."""
    return open_bank(None, ground_of(pressed.models.base.name))


def _name(model: str | ChatModel) -> str:
    return model if isinstance(model, str) else model.name


def _named(pressed: Pressed) -> dict[Role, NamedModel]:
    return {role: NamedModel(model.name, model.fingerprint) for role, model in pressed.models.by_role.items()}


def _changed(pressed: Pressed, started: RedTeamManifest) -> list[str]:
    """Which of the things that answers and verdicts depend on are no longer what they were."""
    now = _named(pressed)
    changed = [f"the {role} model" for role in now if now[role].fingerprint != started.models[role].fingerprint]
    if pressed.judge.fingerprint != started.judge:
        changed.append("the judge")
    if pressed.goals.fingerprint != started.goals_fingerprint:
        changed.append("the goals")
    if pressed.attacker.fingerprint != started.attacker:
        changed.append("the attacker")
    return changed
