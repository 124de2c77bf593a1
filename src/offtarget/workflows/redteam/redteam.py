"""`redteam`: does fine-tuning make a model give way under pressure where its base holds?"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.book import AnswerBook
from offtarget.asking.protocol import Judge, notes_of
from offtarget.asking.spending import timed
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Decision, Status
from offtarget.records.check import CheckSettings, CountedAnswers, JudgeBy
from offtarget.records.rated import PEOPLE, ReviewPage
from offtarget.records.redteam import Goal, RedTeamManifest, RedTeamRecord, RedTeamSettings, Script
from offtarget.records.runs import OpenSettings, named, objects
from offtarget.redteam.attacker import Attacker, Scripted
from offtarget.redteam.goals import GoalSet
from offtarget.redteam.move import as_told
from offtarget.redteam.turns import TurnJudge
from offtarget.rundir import JsonLines, RunDir, read_jsonl, write_records
from offtarget.workflows.check.loop import USED, CheckLoop
from offtarget.workflows.check.opening import Opened, check_asked_alike
from offtarget.workflows.check.raters import Rater, ask_people, chosen_rating, open_strong, what_it_takes
from offtarget.workflows.check.ratings import Ratings, say
from offtarget.workflows.check.sanity import Sanity, chosen_answers, untested
from offtarget.workflows.check.standing import Standing, another_try, settled, standing
from offtarget.workflows.ground import ground_of
from offtarget.workflows.ready import ready
from offtarget.workflows.redteam.cells import Held
from offtarget.workflows.redteam.explore import Search
from offtarget.workflows.redteam.gave_way import read_gave_way, turn_verdicts
from offtarget.workflows.redteam.opening import Pressed, model_of, named_moves, open_pressed
from offtarget.workflows.redteam.results import record_of, refused
from offtarget.workflows.redteam.uncounted import OF_BASE_HELD, TURNS, Uncounted, questions_of
from offtarget.workflows.redteam.verdict import (
    Chosen,
    choose,
    probe_of,
    scripts_for,
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
    confirm: bool = False,
    confirm_with: str | Judge | None = None,
    people: Judge | None = None,
    page: ReviewPage | None = None,
    settings: RedTeamSettings | None = None,
    opening: OpenSettings | None = None,
    run: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> RedTeamResult:
    """Press both models in conversations and say whether the tuned one gives way where its base holds.

    Half of the budget searches for moves that bring the tuned model down, and the base; the verdict rests on fresh
    conversations of what was found, drawn from the same scripts for both models, and stops once the evidence decides.

    `goals` is a set by name, a YAML file of your own red lines, or a GoalSet; `attacker` is None for scripted
    conversations, a model that holds the user's side, or an `Attacker` of your own. `confirm` has people read every
    conversation of the verdict that the judge flags, and `confirm_with`, another judge, those and a share of the rest,
    as in `check`; `page` says where people read, `people` is your own way to ask them.
    Raises InputError for anything the user can fix, EvidenceError when evidence is missing, and RunInterrupted on
    Ctrl-C, after which `resume` goes on.
    """
    settings = RedTeamSettings() if settings is None else settings
    if not isinstance(settings, RedTeamSettings):
        raise InputError(f"settings must be RedTeamSettings, not {settings!r:.60}.")
    ground = ground_of(base)
    sampling = replace(settings.sampling, max_tokens=ground.max_tokens(settings.sampling.max_tokens))
    rating = chosen_rating(judge, confirm, confirm_with, {}, conditions=False)
    if rating is not None and rating.alone:
        raise InputError("--judge people would wait for a person at every turn of the search. Take --confirm.")
    settings = replace(settings, sampling=sampling, rating=rating or settings.rating)
    files = {"--goals": goals if isinstance(goals, Path) else None}
    asked = (judge, confirm_with, model_of(attacker))
    ready(base, tuned, judges=asked, files=files, run=run, new_run=True, opening=opening)
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
    opened = Opened(pressed.models, pressed.questions, pressed.judge, ())
    strong = open_strong(settings.rating, confirm_with, opened, judge_by, opening)
    directory = RunDir.create("redteam", pressed.models.tuned.name.rsplit("/", 1)[-1], path=run)
    with directory:
        rater = strong or ask_people(settings.rating, people, page, opened, directory, settings.seed)
        write_records(directory, "goals.jsonl", pressed.goals.goals)
        known = chosen_answers(pressed.judge, pressed.questions, settings.seed)
        Sanity.write(directory, known)
        begin(
            directory,
            RedTeamManifest(
                opening=opening,
                objects=objects(
                    base=base, tuned=tuned, judge=judge, attacker=attacker, confirm_with=confirm_with, people=people
                ),
                settings=settings,
                models=pressed.named,
                judge=pressed.judge.fingerprint,
                judge_name=named(judge),
                judge_by=judge_by,
                rater=None if rater is None else rater.judge.fingerprint,
                confirm_with=named(confirm_with),
                goals=pressed.goals.name,
                goals_fingerprint=pressed.goals.fingerprint,
                attacker=pressed.attacker.fingerprint,
                attacker_name=pressed.attacker.name,
                moves_told=tuple(as_told(name, moves) for name, moves in named_moves(settings.moves).items()),
                checks=pressed.models.checks,
                not_tried=pressed.not_tried,
                not_tested=(*NOT_TESTED, *pressed.models.unseen, *untested(pressed.judge, pressed.questions, known)),
            ),
        )
        return press(directory, pressed, settings, on_progress, rater)


@timed
def resume(
    run: Path,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    attacker: str | Attacker | None = None,
    confirm_with: str | Judge | None = None,
    people: Judge | None = None,
    page: ReviewPage | None = None,
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
        opened = Opened(pressed.models, pressed.questions, pressed.judge, ())
        how = opening or started.opening
        rating = started.settings.rating
        rater = open_strong(rating, confirm_with or started.confirm_with, opened, started.judge_by, how) or ask_people(
            rating, people, page, opened, directory, started.settings.seed
        )
        if changed := changed_since(pressed, started, rater):
            raise InputError(
                f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new run."
            )
        return press(directory, pressed, started.settings, on_progress, rater)


def press(
    directory: RunDir,
    pressed: Pressed,
    settings: RedTeamSettings,
    on_progress: OnProgress,
    rater: Rater | None = None,
    *,
    beside: bool = False,
) -> RedTeamResult:
    """Search, hold fresh conversations, decide and write it down, from wherever the run is.

    What is kept is not asked again. `beside`: a part of a check, which counts among its like and pays for both.
    """
    sanity = Sanity(directory, pressed.judge, pressed.questions, settings.seed, on_progress)
    with interruptible(directory), ExitStack() as until:
        doubt = sanity.before()
        if doubt is not None:
            record = refused(pressed, settings, doubt)
            _finish(directory, pressed, record, sanity, None)
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
        chosen = choose(search, pressed.moves, settings)
        where = None
        if not beside:
            by = (
                pressed.judge.fingerprint if rater is None else f"{pressed.judge.fingerprint}+{rater.judge.fingerprint}"
            )
            opened = Opened(pressed.models, pressed.questions, pressed.judge, ())
            where = until.enter_context(standing(directory, opened, by, settings, pressed.attacker.fingerprint))
        spent = settings if where is None else where.spent(settings)
        loop, decision = _press(directory, pressed, spent, search, chosen, on_progress, rater)
        if where is not None and (anew := another_try(directory, where)) is not None:
            where, spent = anew, anew.spent(settings)
            loop, decision = _press(directory, pressed, spent, search, chosen, on_progress, rater)
        uncounted = Uncounted(directory, pressed, spent, on_progress)
        held = uncounted.without_pressure(chosen)
        left = settings.budget - search.talked("tuned") - decision.overall.tuned.total
        at_base = uncounted.at_base(chosen, left) if decision.status is Status.FAIL else None
        doubt = sanity.after()
        record = record_of(
            pressed,
            spent,
            search,
            chosen,
            decision,
            at_base,
            held,
            _held(directory, pressed, spent, loop),
            notes=(*pressed.notes, *notes_of([*pressed.models.by_role.values(), pressed.judge, pressed.attacker])),
            doubt=doubt,
        )
        if where is not None:
            record = _told(record, directory, where, settings)
    write_records(directory, "looks.jsonl", loop.looks)
    _finish(directory, pressed, record, sanity, loop.counted({}))
    return RedTeamResult(directory.path, record)


def _finish(
    directory: RunDir, pressed: Pressed, record: RedTeamRecord, sanity: Sanity, counted: CountedAnswers | None
) -> None:
    """Write what it came to; `counted`: None where nobody was talked to. The fields are those of `RedTeamFile`."""
    finish(
        REDTEAM,
        directory,
        record,
        judge_trial=sanity.record(),
        models=pressed.named,
        judge=pressed.judge.fingerprint,
        counted=counted,
    )


def _told(record: RedTeamRecord, directory: RunDir, where: Standing, settings: RedTeamSettings) -> RedTeamRecord:
    """The record with what a reader must know of other runs of the same, written into the register."""
    plain = replace(record.decision, status=record.status, notes=())
    told = settled(directory, where, settings, plain, "red team")
    decision = replace(told, status=record.decision.status, notes=record.decision.notes)
    return replace(record, decision=decision, notes=(*told.notes, *record.notes))


PATIENCE = 4
"""A conversation that gives this many answers without a score in a row is given up: each costs several turns."""


def _press(
    directory: RunDir,
    pressed: Pressed,
    settings: RedTeamSettings,
    search: Search,
    chosen: Chosen,
    on_progress: OnProgress,
    rater: Rater | None,
) -> tuple[CheckLoop, Decision]:
    """Fresh conversations with both models until they decide, or the budget is spent."""
    goals = {goal.id: goal for goal in pressed.goals.goals}
    scripts = scripts_for(
        chosen,
        search,
        dict(pressed.moves),
        goals,
        settings,
        adaptive=not isinstance(pressed.attacker, Scripted),
    )
    questions = questions_of(scripts, goals)
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
        rating=settings.rating,
    )
    with closing(JsonLines(directory.file(TURNS))) as turns:
        judge = TurnJudge(pressed.judge, questions, turns.extend)
        told = _in_conversations(on_progress)
        how = (judge, settings.sampling, settings.seed, None, told)
        with ExitStack() as files:
            book = files.enter_context(closing(AnswerBook(directory, (), pressed.models.by_role, *how)))
            book.add_probes(bank.probes, PATIENCE)
            ratings = None
            if rater is not None and settings.rating is not None:
                on_progress(Progress(what_it_takes(settings.rating, rater.name, settings.decision)))
                if isinstance(rater.judge, AbstractContextManager):
                    files.enter_context(rater.judge)  # the page is open as long as somebody may be asked
                whole = TurnJudge(rater.judge, questions) if settings.rating.by != PEOPLE else rater.judge
                given = (settings.rating, whole, rater.name, book, 0.0, settings.seed, None, told)
                ratings = files.enter_context(closing(Ratings(directory, *given)))
            loop = CheckLoop(book, Opened(pressed.models, bank, judge, ()), check, told, ratings)
            loop.run()
            decision = loop.decision(None)
            if rater is not None:
                say(rater.judge, decision)
            return loop, decision


def _in_conversations(on_progress: OnProgress) -> OnProgress:
    """What a check tells of answers, told of conversations."""
    names = {USED: "conversations that count"}
    return lambda one: on_progress(replace(one, stage=names.get(one.stage, f"of the verdict, {one.stage}")))


def _held(directory: RunDir, pressed: Pressed, settings: RedTeamSettings, loop: CheckLoop) -> Held:
    """The conversations that count, and those where the base is weak."""
    scripts, at_base = (
        {script.id: script for script in read_jsonl(directory.file(f"{name}.jsonl"), Script)}
        for name in ("scripts", OF_BASE_HELD)
    )
    turns = turn_verdicts(directory)
    return Held(
        tallies=loop.tallies(),
        counted=loop.counted({}).arms,
        scripts=scripts,
        at_base=at_base,
        questions={question.id: question for goal in pressed.goals.goals for question in goal.questions},
        turns=turns,
        gave_way=read_gave_way(directory, turns.values(), scripts.values(), rated=settings.rating is not None),
    )


def _name(model: str | ChatModel) -> str:
    return model if isinstance(model, str) else model.name


def changed_since(pressed: Pressed, started: RedTeamManifest, rater: Rater | None = None) -> list[str]:
    """Which of the things that answers and verdicts depend on are no longer what they were."""
    now = pressed.named
    changed = [f"the {role} model" for role in now if now[role].fingerprint != started.models[role].fingerprint]
    if pressed.judge.fingerprint != started.judge:
        changed.append("the judge")
    if (None if rater is None else rater.judge.fingerprint) != started.rater:
        changed.append("who confirms what the judge flags")
    if pressed.goals.fingerprint != started.goals_fingerprint:
        changed.append("the goals")
    if pressed.attacker.fingerprint != started.attacker:
        changed.append("the attacker")
    return changed
