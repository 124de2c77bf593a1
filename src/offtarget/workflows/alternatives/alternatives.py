"""`alternatives`: would instructions or examples do what training is meant to do, and at what risk?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.asking.protocol import Judge, notes_of
from offtarget.asking.spending import timed
from offtarget.data.chats import chat_line
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.models.names import LocalName
from offtarget.pages.alternatives.loading import HELD_OUT, QUESTIONS
from offtarget.pages.alternatives.story import ROWS
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Message, Probe, Role, SamplingSettings
from offtarget.records.alternatives import (
    WAYS,
    AlternativesManifest,
    AlternativesReport,
    AlternativesSettings,
    HeldOut,
    Way,
)
from offtarget.records.check import JudgeBy
from offtarget.records.runs import OpenSettings, named, objects
from offtarget.rundir import RunDir, fingerprint, write_records
from offtarget.workflows.alternatives.answers import AlternativesBook, Ask
from offtarget.workflows.alternatives.grading import TaskGrader, open_grader, probe_grade
from offtarget.workflows.alternatives.plan import Plan, prepare
from offtarget.workflows.alternatives.results import TRAINING_ROWS, make_report
from offtarget.workflows.ground import ground_of, open_bank, open_judge, open_named, open_two, parsed
from offtarget.workflows.ready import ready
from offtarget.workflows.runs.begin import begin_or_resume, finish, finished, interruptible, opened
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import ALTERNATIVES


@dataclass(frozen=True, slots=True, repr=False)
class AlternativesResult(Result):
    """What a comparison of the ways came to."""

    record: AlternativesReport


@timed
def alternatives(
    data: str | Path,
    base: str | ChatModel,
    tuned: str | ChatModel | None = None,
    *,
    settings: AlternativesSettings | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    form: str | None = None,
    split: str | None = None,
    opening: OpenSettings | None = None,
    run: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> AlternativesResult:
    """Compare base alone, base with instructions, base with examples and, if given, the tuned model.

    Each is scored on held-out prompts of `data` and asked the plain questions of `probes` in the same dress. An
    unfinished run of the same arguments in `run` goes on. Raises InputError for whatever cannot be compared, and
    RunInterrupted on Ctrl-C.
    """
    settings = settings or AlternativesSettings()
    check_pair(base, tuned)
    ready(base, tuned, judges=(judge,), files={"DATA": None if "://" in str(data) else data}, run=run, opening=opening)
    ground = ground_of(base)
    bank = open_bank(probes, ground)
    asked = _plain(bank)
    opened_judge = open_judge(judge, bank, judge_by, opening)
    grader = open_grader(settings.metric, named(judge), judge_by, opening)
    on_progress(Progress(f"opening {named(base) or 'the base'}"))
    models = _open(base, tuned, opening)
    on_progress(Progress(f"reading {data}, and holding rows out"))
    plan = prepare(data, form, split, settings, models["base"])
    manifest = AlternativesManifest(
        opening=opening,
        objects=objects(base=base, tuned=tuned, probes=probes, judge=judge),
        fingerprint=fingerprint(_identity(plan, models, asked, opened_judge, grader, settings)),
        data=str(data),
        form=form,
        split=split,
        models={role: model.name for role, model in models.items()},
        probes=named(probes),
        judge=named(judge),
        judge_by=judge_by,
        settings=settings,
    )
    slug = str(data).rstrip("/").rsplit("/", 1)[-1]
    with begin_or_resume(manifest, slug, run) as directory, interruptible(directory):
        _write_training_rows(directory, plan)
        write_records(directory, HELD_OUT, [HeldOut(q.id, q.messages, q.reference) for q in plan.held_out])
        write_records(directory, QUESTIONS, asked)
        with closing(AlternativesBook(directory, on_progress)) as book:
            for way in WAYS:
                if way != "tuned" or "tuned" in models:
                    model = models["tuned" if way == "tuned" else "base"]
                    _measure(book, way, model, plan, asked, opened_judge, grader, settings)
        report = make_report(str(data), models, plan, book, settings, (*ground.notes, *notes_of(models.values())))
        from offtarget.pages.alternatives.loading import load_compared
        from offtarget.pages.alternatives.page import render
        from offtarget.pages.alternatives.story import sentence

        page = render(load_compared(directory.path, report))
        finish(ALTERNATIVES, directory, report, page=page, sentence=sentence(report))
        return AlternativesResult(directory.path, report)


@timed
def resume(
    run: Path,
    *,
    base: ChatModel | None = None,
    tuned: ChatModel | None = None,
    judge: str | Judge | None = None,
    probes: ProbeBank | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> AlternativesResult:
    """Go on with a comparison as it was started; a finished one is read again. InputError for what has changed."""
    _, started = opened(ALTERNATIVES, run)
    report = finished(ALTERNATIVES, run)
    if report is not None:
        return AlternativesResult(run, report)
    return alternatives(
        started.data,
        base or started.models["base"],
        tuned or started.models.get("tuned"),
        settings=started.settings,
        probes=probes or started.probes,
        judge=judge or started.judge,
        judge_by=started.judge_by,
        form=started.form,
        split=started.split,
        opening=opening or started.opening,
        run=run,
        on_progress=on_progress,
    )


def check_pair(base: str | ChatModel, tuned: str | ChatModel | None) -> None:
    """InputError for two names that cannot be compared, before anything is opened."""
    if isinstance(base, str) and isinstance(tuned, str):
        before, after = parsed(base), parsed(tuned)
        if base == tuned:
            raise InputError(f"{base} was given as base and as tuned model. Leave out --tuned to compare without one.")
        if isinstance(before, LocalName) and isinstance(after, LocalName) and after.adapter is not None:
            _check_same_base(before, after)


def _check_same_base(base: LocalName, tuned: LocalName) -> None:
    places = [Path(name.base.place).expanduser().resolve() for name in (base, tuned)]
    if places[0] != places[1] or base.base.revision != tuned.base.revision:
        raise InputError(
            f"{tuned.text} is an adapter on {tuned.base}, not on {base.text}: what it changed cannot be told from what "
            "the two bases differ in. Give the base it was tuned from."
        )


def _plain(bank: ProbeBank) -> list[Probe]:
    """Plain questions of one turn; a system prompt of their own would mix with the instructions."""
    found = [p for p in bank.probes if p.arm == "plain" and not p.opening and p.system is None]
    if not found:
        raise InputError(f"The probe bank '{bank.name}' has no plain question of one turn without a system prompt.")
    return found


def _open(base: str | ChatModel, tuned: str | ChatModel | None, opening: OpenSettings | None) -> dict[Role, ChatModel]:
    if tuned is None:
        return {"base": open_named(base, opening)}
    return open_two(base, tuned, opening).by_role


def _identity(
    plan: Plan,
    models: dict[Role, ChatModel],
    probes: Sequence[Probe],
    judge: Judge,
    grader: TaskGrader,
    settings: AlternativesSettings,
) -> list[Any]:
    """Everything replies and grades depend on; contents, not names."""
    rows = [plan.training, plan.held_out, plan.instructions.text]
    prints = {role: model.fingerprint for role, model in models.items()}
    return [rows, prints, probes, judge.fingerprint, grader.fingerprint, settings]


def _write_training_rows(directory: RunDir, plan: Plan) -> None:
    """The training split as chat rows, to tune on: a model tuned on all rows has seen the held-out ones."""
    lines = (chat_line([*q.messages, Message("assistant", q.reference)]) for q in plan.training)
    directory.file(TRAINING_ROWS).write_text("".join(lines), encoding="ascii")


def _measure(
    book: AlternativesBook,
    way: Way,
    model: ChatModel,
    plan: Plan,
    probes: Sequence[Probe],
    judge: Judge,
    grader: TaskGrader,
    settings: AlternativesSettings,
) -> None:
    """The task by greedy decoding, the plain questions at temperature 1; both in the dress of this way."""
    held_out = {q.id: q for q in plan.held_out}
    tasks = [
        Ask(way=way, kind="task", item=q.id, index=0, dressed=plan.dressed(way, q.messages)) for q in plan.held_out
    ]
    greedy = SamplingSettings(temperature=0.0, max_tokens=settings.max_tokens)
    replies = book.answer(model, tasks, greedy, settings.seed, f"{ROWS[way]}: held-out prompts")
    grader.grades(book, replies, held_out, f"{ROWS[way]}: scoring")
    dressed = {p.id: plan.dressed(way, p.messages) for p in probes}
    wanted = [(probes[i % len(probes)], i // len(probes)) for i in range(settings.answers)]
    asks = [Ask(way=way, kind="probe", item=p.id, index=index, dressed=dressed[p.id]) for p, index in wanted]
    replies = book.answer(
        model, asks, SamplingSettings(max_tokens=settings.max_tokens), settings.seed, f"{ROWS[way]}: plain questions"
    )
    book.judge(replies, [p for p, _ in wanted], judge, probe_grade, f"{ROWS[way]}: judging")
