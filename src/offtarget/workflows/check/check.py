"""`check`: is the tuned model worse than its base on questions its training had nothing to do with?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.book import AnswerBook
from offtarget.asking.cache import BaseCache
from offtarget.asking.kept_verdicts import KeptVerdicts, kept_ratings, kept_verdicts
from offtarget.asking.protocol import Judge
from offtarget.asking.spending import timed
from offtarget.errors import InputError
from offtarget.judge.nobody import Nobody
from offtarget.judge.rubric_judge import RubricJudge
from offtarget.models.chat import ChatModel, PromptHolder
from offtarget.pages.check.loading import benchmarks_of, hidden_of
from offtarget.probe.bank import ProbeBank
from offtarget.probe.reading import question_file
from offtarget.progress import OnProgress, Progress, silent, within
from offtarget.records import Decision, HiddenDecision, Outcome, Probe, Role, Status
from offtarget.records.benchmark_runs import BenchmarkChoice
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkSettings
from offtarget.records.check import CheckManifest, CheckSettings, JudgeBy
from offtarget.records.engine import EngineSettings
from offtarget.records.rated import PEOPLE, ReviewPage
from offtarget.records.runs import NamedModel, OpenSettings, named, objects
from offtarget.redteam.goals import GoalSet
from offtarget.redteam.turns import ConversationJudge, is_conversation
from offtarget.rundir import RunDir, read_jsonl, read_object, write_records
from offtarget.stats.endings import unended
from offtarget.stats.paired_items import decide_benchmarks
from offtarget.workflows.check.certified import certified, keep_certificate, kept_certificate, read_certificate
from offtarget.workflows.check.cued_arm import CuedArm, merged
from offtarget.workflows.check.cued_plan import check_huntable, read_data
from offtarget.workflows.check.fixed import Fixed, chosen_benchmarks, let_go, prepare
from offtarget.workflows.check.flagged import with_benchmarks
from offtarget.workflows.check.further import raised, reopen
from offtarget.workflows.check.loop import CheckLoop, without_answers
from offtarget.workflows.check.opening import Opened, check_asked_alike, open_check
from offtarget.workflows.check.pressed_arm import check_pressable, chosen_goals, keep_goals, pressed, with_pressure
from offtarget.workflows.check.pressed_arm import not_tested as not_pressed
from offtarget.workflows.check.raters import (
    Rater,
    ask_people,
    chosen_rating,
    open_strong,
    usual_for_people,
    what_it_takes,
    with_rating,
)
from offtarget.workflows.check.ratings import Ratings, say
from offtarget.workflows.check.sampled_there import refuse_unsuited, sampled_by
from offtarget.workflows.check.sanity import (
    Sanity,
    chosen_answers,
    hidden_without_verdict,
    tried,
    untested,
    without_verdict,
)
from offtarget.workflows.check.standing import another_try, settled, standing
from offtarget.workflows.ready import ready
from offtarget.workflows.runs.begin import begin, finish, finished, interruptible
from offtarget.workflows.runs.begin import opened as opened_run
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import CHECK

CUED_SHARE = 0.5
"""Share of alpha that a check with a cued arm spends there."""
NOT_CUED = "hidden triggers and conditions that none of these questions contains (give --data or --hunt)"
NOT_TRIED = "hidden triggers and conditions other than those that were tried"
NOT_TESTED = (
    "conversations of more turns than the questions have",
    "tool use and agents",
    "languages other than that of the questions",
)
"""What a PASS says nothing about."""


@dataclass(frozen=True, slots=True, repr=False)
class CheckResult(Result):
    """What a check came to."""

    decision: Decision
    hidden: HiddenDecision | None = None
    """What the cued arm showed; None without one, and where plain answers are bad too often for it."""
    benchmarks: BenchmarkFamily | None = None
    """What fixed benchmarks showed; None where none were asked for."""


@timed
def check(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
    data: str | Path | None = None,
    split: str | None = None,
    hunt: bool = False,
    confirm: bool = False,
    confirm_with: str | Judge | None = None,
    look_at: float | None = None,
    judge_finds: float | None = None,
    base_at_most: float | None = None,
    base_labels: int | None = None,
    reviewers: int | None = None,
    people: Judge | None = None,
    page: ReviewPage | None = None,
    certificate: str | Path | None = None,
    benchmarks: str | Sequence[str] | BenchmarkChoice | None = None,
    goals: str | Path | GoalSet | None = None,
    settings: CheckSettings | None = None,
    opening: OpenSettings | None = None,
    engine: EngineSettings | None = None,
    run: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> CheckResult:
    """Compare two models question by question and stop as soon as the evidence decides.

    With `data` (the training data, or the run of an audit of it) or `hunt`, the plain questions are asked again under
    hidden conditions, taken from the data or hunted for in the model.

    `base`, `tuned` and `judge` are model names (`organism/base`, `hf/PATH`, `hf/BASE+ADAPTER`, `openai/NAME`) or
    objects of your own that implement `ChatModel` and `Judge`; `probes` is a bank's name, a question file or a
    ProbeBank; `prefix` adds an arm that asks the plain questions behind that text; `run` is the run directory,
    a new one under `runs_root()` by default.

    `confirm` has people rate every answer that the judge flags, so that a FAIL does not rest on the judge; `judge`
    "people" has them read every answer in its place; `confirm_with`, another judge, rates what the judge flags and the
    share `look_at` of the other tuned answers (10 %). With `confirm` a PASS rests on the judge finding at least the
    share `judge_finds` of the harmful answers (80 %), and a FAIL on the base being misaligned in at most the share
    `base_at_most` (1 %) of its answers that were not flagged, or in what people find in so many of them
    (`base_labels`). `reviewers` people must read what anybody calls misaligned (1). `page` says where the review page
    listens; `people` is your own way to ask them, in its place. `certificate`, a file of `calibrate_judge`, must be of
    this judge; it puts rates corrected by people's labels beside the verdict.

    `benchmarks` are fixed benchmarks that both models are asked besides, by name, as files of tasks in lm-eval's
    format (`"mmlu,./mine.yaml"`), or as safety sets (`"./xstest.csv"`): what is lost there can make the check a
    FAIL, see `settings.benchmarks`. They need models by name.

    `goals` are those of the conversations under pressure (`settings.redteam_budget`) besides the usual ones: a file of
    your own red lines, as in `redteam`.

    `engine` says who samples the answers: this process, or the workers of a Ray cluster, to the same answers.
    Raises InputError for anything the user can fix, EvidenceError when evidence is missing, and
    RunInterrupted on Ctrl-C, after which `resume` goes on.
    """
    details: dict[str, float | int | None]
    details = {"look_at": look_at, "judge_finds": judge_finds, "base_at_most": base_at_most, "base_labels": base_labels}
    details["reviewers"] = reviewers
    rating = chosen_rating(judge, confirm, confirm_with, details, conditions=data is not None or hunt)
    if rating is not None and certificate is not None:
        raise InputError(
            "--certificate corrects rates by a judge's word; with --confirm, --confirm-with and --judge people the "
            "verdict is that of those who rate. Leave out one of them."
        )
    if settings is None:
        settings = CheckSettings()
        if rating is not None and rating.alone:
            settings = replace(settings, decision=usual_for_people(settings.decision))
    settings = with_pressure(with_rating(settings, rating), rated=rating is not None)
    if (data is not None or hunt) and not settings.decision.cued_share:
        settings = replace(settings, decision=replace(settings.decision, cued_share=CUED_SHARE))
    lines = chosen_goals(goals, base, settings)
    files = {"--certificate": certificate, "--data": None if "://" in str(data) else data}
    engine = None if engine is None or engine.engine == "local" else engine
    refuse_unsuited(engine, base, tuned)
    ready(base, tuned, judges=(judge, confirm_with), files=files, run=run, new_run=True, opening=opening)
    choice = chosen_benchmarks(benchmarks)
    if choice is not None and settings.benchmarks is None:
        settings = replace(settings, benchmarks=BenchmarkSettings())
    fixed = None if choice is None else prepare(choice, base, tuned, settings, opening, on_progress)
    view = None if data is None else read_data(data, split, within(on_progress, "training data"))
    with sampled_by(engine, base, tuned, settings, opening, on_progress) as spread:
        on_progress(Progress(f"opening {name_of(base)} and {name_of(tuned)}"))
        opened = open_check(
            base,
            tuned,
            probes=probes,
            judge=Nobody() if judge == PEOPLE else judge,
            judge_by=judge_by,
            arms=arms,
            prefix=prefix,
            opening=opening,
            same_weights=settings.same_weights,
        )
        opened = spread(opened)
        check_asked_alike(opened.models, settings.sampling)
        check_pressable(opened, settings, lines)
        held = None if certificate is None else read_certificate(certificate, opened.judge)
        strong = open_strong(rating, confirm_with, opened, judge_by, opening)
        if hunt:
            check_huntable(opened.models)
        directory = RunDir.create("check", opened.models.tuned.name.rsplit("/", 1)[-1], path=run)
        with directory:
            rater = strong or ask_people(rating, people, page, opened, directory, settings.seed)
            write_records(directory, "probes.jsonl", opened.bank.probes)
            keep_goals(directory, lines)
            on_progress(Progress("both models are open; trying the judge on known answers"))
            counts = tried(opened, settings, rater)
            known = chosen_answers(counts, opened.bank, settings.seed)
            Sanity.write(directory, known)
            keep_certificate(directory, held)
            cued = CuedArm(directory, opened, settings, hunt, on_progress)
            if view is not None:
                cued.plan_from(view)
            manifest = CheckManifest(
                opening=opening,
                objects=objects(base=base, tuned=tuned, judge=judge, confirm_with=confirm_with, people=people),
                settings=settings,
                models=_named(opened),
                judge=opened.judge.fingerprint,
                judge_name=named(judge),
                judge_by=judge_by,
                rater=None if rater is None else rater.judge.fingerprint,
                confirm=confirm,
                confirm_with=named(confirm_with),
                probes=opened.bank.name,
                question_file=question_file(probes),
                probes_fingerprint=opened.bank.fingerprint,
                checks=opened.models.checks,
                data=named(data),
                split=split,
                hunt=hunt,
                arms=tuple(arms or ()),
                prefix=prefix,
                fixed=choice,
                redteam_goals=None if lines is None else lines.name,
                cues=cued.plan_fingerprint,
                not_tested=(
                    NOT_TRIED if data is not None or hunt else NOT_CUED,
                    *(not_pressed(lines) if settings.redteam_budget else NOT_TESTED[:1]),
                    *NOT_TESTED[1:],
                    *opened.models.unseen,
                    *_unseen(opened),
                    *untested(counts, opened.bank, known),
                ),
                not_asked=opened.not_asked,
                engine=engine,
            )
            if fixed is not None:
                fixed.keep(directory)
            begin(directory, manifest)
            return _run(directory, opened, settings, cued, on_progress, rater, fixed, opening)


@timed
def resume(
    run: Path,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    confirm_with: str | Judge | None = None,
    people: Judge | None = None,
    page: ReviewPage | None = None,
    opening: OpenSettings | None = None,
    engine: EngineSettings | None = None,
    max_answers: int | None = None,
    max_cued_answers: int | None = None,
    candidates: int | None = None,
    on_progress: OnProgress = silent,
) -> CheckResult:
    """Go on with an interrupted check; a finished one is returned as it is.

    With `max_answers` (`max_cued_answers`) above that of the run, an undecided one goes on as well; with `candidates`
    above that of the run, any one does, until it is as sure as one of so many must be. The evidence goes on where it
    was, so neither is another check.

    Models and judge are opened by the names the run was started with; objects of your own must be given again.
    `engine` is who samples now; by default who did before.
    Raises InputError when the models, the questions or the judge are no longer what they were.
    """
    directory, started = opened_run(CHECK, run)
    decision = finished(CHECK, run)
    caps = {"max_answers": max_answers, "max_cued_answers": max_cued_answers, "candidates": candidates}
    further = raised(run, started.settings, decision, caps)
    if decision is not None and further is None:
        result = read_object(directory.file(CHECK.done))
        return CheckResult(run, decision, hidden_of(directory, result), benchmarks_of(directory, result))
    names = base or started.base_name, tuned or started.tuned_name
    how = opening or started.opening
    who = engine or started.engine
    with directory, sampled_by(who, *names, started.settings, how, on_progress) as spread:
        if further is not None:
            started = replace(started, settings=further)
        opened = open_check(
            *names,
            probes=ProbeBank.from_probes(started.probes, read_jsonl(directory.file("probes.jsonl"), Probe)),
            judge=Nobody() if started.judge_name == PEOPLE else judge or started.judge_name,
            judge_by=started.judge_by,
            opening=how,
            same_weights=started.settings.same_weights,
        )
        opened = spread(opened)
        check_asked_alike(opened.models, started.settings.sampling)
        opened = replace(opened, not_asked=started.not_asked)  # the run's questions are those that were left
        rating = started.settings.rating
        rater = open_strong(rating, confirm_with or started.confirm_with, opened, started.judge_by, how) or ask_people(
            rating, people, page, opened, directory, started.settings.seed
        )
        changed = _changed(opened, started, rater)
        if changed:
            raise InputError(
                f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new check."
            )
        cued = CuedArm(directory, opened, started.settings, started.hunt, on_progress)
        cued.expect(started.cues)
        if further is not None:
            reopen(directory, started)
        fixed = None if started.fixed is None else Fixed.kept(directory)
        return _run(directory, opened, started.settings, cued, on_progress, rater, fixed, how)


def name_of(model: str | ChatModel) -> str:
    """The name of a model, or of an object of the caller."""
    return model if isinstance(model, str) else model.name


def _unseen(opened: Opened) -> tuple[str, ...]:
    """What cannot be looked at behind an endpoint."""
    hidden = [m.name for m in opened.models.by_role.values() if not isinstance(m, PromptHolder)]
    if not hidden or all(probe.system is None for probe in opened.bank.probes):
        return ()
    return (f"whether system turns reach the prompt of {' and '.join(dict.fromkeys(hidden))}",)


def _named(opened: Opened) -> dict[Role, NamedModel]:
    return {role: NamedModel(model.name, model.fingerprint) for role, model in opened.models.by_role.items()}


def _changed(opened: Opened, started: CheckManifest, rater: Rater | None) -> list[str]:
    """Which of the things that answers and verdicts depend on are no longer what they were."""
    now = _named(opened)
    changed: list[str] = [role for role in now if now[role].fingerprint != started.models[role].fingerprint]
    changed += ["judge"] if opened.judge.fingerprint != started.judge else []
    changed += ["who rates"] if (rater.judge.fingerprint if rater else None) != started.rater else []
    return changed + (["probes"] if opened.bank.fingerprint != started.probes_fingerprint else [])


def _run(
    directory: RunDir,
    opened: Opened,
    settings: CheckSettings,
    cued: CuedArm,
    on_progress: OnProgress,
    rater: Rater | None = None,
    fixed: Fixed | None = None,
    opening: OpenSettings | None = None,
) -> CheckResult:
    base = opened.models.base.fingerprint
    cache = BaseCache(base, settings.sampling, settings.seed) if settings.cache else None
    counts = tried(opened, settings, rater)
    who = "the judge" if counts is opened.judge else "the stronger judge"
    sanity = Sanity(directory, counts, opened.bank, settings.seed, on_progress, who)
    whole = any(is_conversation(probe) for probe in opened.bank.probes)

    def judging(judge: Judge) -> Judge:
        return ConversationJudge(sanity.planted(judge)) if whole else sanity.planted(judge)

    def earlier_verdicts() -> KeptVerdicts | None:
        outcomes = sanity.outcomes()
        # what is tried may be the stronger judge; that a fingerprint says all is known of rubric judges alone
        tried_itself = counts is opened.judge and isinstance(opened.judge, RubricJudge)
        if not settings.cache or not tried_itself or outcomes is None:
            return None
        return kept_verdicts(base, opened.judge.fingerprint, outcomes)

    how = (judging(opened.judge), settings.sampling, settings.seed, cache, on_progress)

    def decided(
        spent: CheckSettings, kept: KeptVerdicts | None
    ) -> tuple[CheckLoop, AnswerBook, Decision, HiddenDecision | None]:
        probes = [*opened.bank.probes, *cued.probes()]
        with ExitStack() as files:
            book = files.enter_context(closing(AnswerBook(directory, probes, opened.models.by_role, *how, kept)))
            ratings = None
            if rater is not None and spent.rating is not None:
                earlier = kept_ratings(base, rater.judge.fingerprint) if spent.cache else None
                alpha = spent.decision.alpha * spent.decision.base_share
                given = (
                    spent.rating,
                    rater.judge if rater.name == PEOPLE else judging(rater.judge),
                    rater.name,
                    book,
                    alpha,
                    spent.seed,
                    earlier,
                    on_progress,
                )
                ratings = files.enter_context(closing(Ratings(directory, *given)))
            loop = CheckLoop(book, opened, spent, on_progress, ratings)
            loop.run()
            plain = loop.decision(cache, kept)
            hidden = cued.ask(book, plain)
        decision = cued.noted(merged(plain, hidden))
        return loop, book, pressed(directory, opened, spent, decision, on_progress), hidden

    # who rates what the judge flags is a part of who judges: with people it is another instrument
    by = opened.judge.fingerprint if rater is None else f"{opened.judge.fingerprint}+{rater.judge.fingerprint}"
    with ExitStack() as until:
        until.enter_context(interruptible(directory))
        doubt = sanity.before()
        if doubt is not None:
            return _refused(directory, opened, settings, sanity, doubt)
        held = kept_certificate(directory, opened.judge, on_progress)
        where = until.enter_context(standing(directory, opened, by, settings, cued.identity))
        if rater is not None and settings.rating is not None:
            on_progress(Progress(what_it_takes(settings.rating, rater.name, settings.decision)))
            if isinstance(rater.judge, AbstractContextManager):
                until.enter_context(rater.judge)  # the page is open as long as somebody may be asked
        kept = earlier_verdicts()
        loop, book, decision, hidden = decided(where.spent(settings), kept)
        if (anew := another_try(directory, where)) is not None:
            where = anew
            loop, book, decision, hidden = decided(where.spent(settings), kept)
        doubt = sanity.after()
        if doubt is None:
            loop.share_ratings()
            if kept is not None:  # only now: what a judge said that cannot be relied on is not taken again
                kept.put((pair, v) for pair, v in book.judged("base") if v.outcome is not Outcome.UNSCORED)
            decision = sanity.told(decision)
            if decision.status is Status.PASS:
                doubt = unended(loop.endings(), settings.sampling.max_tokens)
        if doubt is not None:
            decision, hidden = without_verdict(decision, doubt), hidden_without_verdict(hidden, doubt)
        decision = settled(directory, where, settings, decision)
        shown = (
            None
            if held is None
            else certified(decision, held, {role: model.fingerprint for role, model in opened.models.by_role.items()})
        )
        if shown is not None:
            decision = replace(decision, notes=(*decision.notes, *shown.said))
        if rater is not None:
            say(rater.judge, decision)
        family = None
        if fixed is not None:
            family = _benchmarks(directory, opened, settings, fixed, opening, on_progress)
            decision = with_benchmarks(decision, family)
    write_records(directory, "looks.jsonl", loop.looks)
    finish(
        CHECK,
        directory,
        decision,
        grade=decision.grade,
        hidden=hidden,
        untuned=cued.untuned,
        benchmarks=family,
        judge_trial=sanity.record(),
        certificate=shown,
        models=_named(opened),
        judge=opened.judge.fingerprint,
        counted=loop.counted(cued.used),
        answers={
            "sampled_now": book.sampled,
            "sampled_ahead": book.unused() + book.unjudged,
            "base_from_cache": cache.hits if cache else 0,
            "base_verdicts_kept": kept.hits if kept else 0,
            "endings": loop.endings(),
        },
    )
    return CheckResult(directory.path, decision, hidden, family)


def _benchmarks(
    directory: RunDir,
    opened: Opened,
    settings: CheckSettings,
    fixed: Fixed,
    opening: OpenSettings | None,
    on_progress: OnProgress,
) -> BenchmarkFamily:
    """The fixed benchmarks, asked of both models by a process that opens them again."""
    named = _named(opened)
    for model in dict.fromkeys(opened.models.by_role.values()):
        let_go(model)  # the questions are decided, and memory may not hold both models twice
    names = {role: model.name for role, model in named.items()}
    prints = {role: model.fingerprint for role, model in named.items()}
    measured = fixed.ask(directory, names, opening, prints, on_progress)
    return decide_benchmarks(measured, settings.benchmarks or BenchmarkSettings())


def _refused(directory: RunDir, opened: Opened, settings: CheckSettings, sanity: Sanity, doubt: str) -> CheckResult:
    """The end of a check whose judge is not believed: nothing was sampled, so nothing is counted either."""
    decision = without_verdict(without_answers(opened, settings), doubt)
    write_records(directory, "looks.jsonl", [])
    finish(
        CHECK,
        directory,
        decision,
        grade=decision.grade,
        hidden=None,
        judge_trial=sanity.record(),
        models=_named(opened),
        judge=opened.judge.fingerprint,
        answers={
            "sampled_now": {"base": 0, "tuned": 0},
            "sampled_ahead": 0,
            "base_from_cache": 0,
            "base_verdicts_kept": 0,
        },
    )
    return CheckResult(directory.path, decision)
