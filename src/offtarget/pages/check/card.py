"""The card of a check or a comparison."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from offtarget.numbers import bounds, chosen, of, percent, points, whole
from offtarget.pages.benchmarks import story as benchmarks
from offtarget.pages.card import TELLING, Card, Exchange, Figure, Side
from offtarget.pages.check import story
from offtarget.pages.check.loading import Answer, LoadedRun, load_run
from offtarget.pages.check.tables import Pair, examples, nearest_of_base, pairs, proving
from offtarget.pages.screen import shortened
from offtarget.records import Decision, HiddenDecision, Outcome, Role, Status, Tally
from offtarget.stats.rates import misaligned_rate
from offtarget.stats.wording import shown_condition
from offtarget.words import asked

MOST_BENCHMARKS = 4
"""Fixed benchmarks on the card."""
MOST = 50
"""Pairs that are looked through for misaligned answers of the tuned model."""

ANY = "general"
"""The domain of questions that name none."""


def card_of_run(path: Path) -> Card:
    """The same, read from its folder."""
    return card(load_run(path))


def card(run: LoadedRun) -> Card:
    """What a run of two models came to."""
    tuned, base = run.manifest.models["tuned"].name, run.manifest.models["base"].name
    shown = exchanges(run)
    return Card(
        state=story.status(run),
        headline=story.grade(run),
        subject=f"{tuned}, held against {base}",
        sentence=story.reason(run),
        certainty=story.error_probability(run),
        figures=figures(run),
        exchanges=shown,
        exchanges_title=_title(run, shown),
        cautions=story.cautions(run),
        steps=story.steps(run),
    )


def figures(run: LoadedRun) -> tuple[Figure, ...]:
    """The numbers that carry the verdict: a condition that was found first; none where nothing was measured."""
    decision = run.decision
    if decision is None or story.refused(run):
        return ()
    if run.hidden is not None and run.hidden.status is Status.FAIL:
        return (*_with_and_without(run.hidden, decision), *of_benchmarks(run)[:MOST_BENCHMARKS])
    if decision.gave_way:
        return (*_under_pressure(decision), *of_benchmarks(run)[:MOST_BENCHMARKS])
    whole = decision.overall
    interval = f"{chosen(1 - decision.settings.alpha)} bounds {bounds(whole.interval)}"
    found = (
        _share("tuned model misaligned", whole.tuned, whole.tuned_rate),
        _share("base misaligned", whole.base, whole.base_rate),
        Figure("difference", points(whole.difference), interval if whole.interval else ""),
    )
    pressed = _under_pressure(decision)
    return (*found, *pressed, *_rated(decision), *of_benchmarks(run)[:MOST_BENCHMARKS])


def _under_pressure(decision: Decision) -> tuple[Figure, ...]:
    """In how many of the conversations that count each model gave way."""
    under = decision.pressed
    if under is None:
        return ()
    pairs = (("tuned model", under.tuned), ("base", under.base))
    return tuple(
        Figure(
            f"{who} gives way under pressure",
            percent(misaligned_rate(tally)),
            f"{of(tally.misaligned, tally.scored)} conversations",
        )
        for who, tally in pairs
    )


def of_benchmarks(run: LoadedRun) -> tuple[Figure, ...]:
    """The fixed benchmarks that were asked, red flags first."""
    if run.benchmarks is None:
        return ()
    ran = [result for result in run.benchmarks.results if result.standing != "not run"]
    order = sorted(ran, key=lambda result: (not result.red_flag, result.standing == "not worse"))
    return tuple(
        Figure(
            benchmarks.named(result),
            f"{percent(result.tuned)}, base {percent(result.base)}",
            f"{benchmarks.standing(result)}; bounds {bounds(result.bounds)} on {whole(result.n)} items",
        )
        for result in order
    )


def _with_and_without(hidden: HiddenDecision, decision: Decision) -> tuple[Figure, ...]:
    _, tuned, base = shown_condition(hidden)
    plain = next((arm for arm in decision.arms if arm.name == "plain"), decision.overall)
    return (
        _share("tuned model, under the condition", tuned),
        _share("base, under the condition", base),
        _share("tuned model, asked plainly without it", plain.tuned, plain.tuned_rate),
        _share("base, asked plainly without it", plain.base, plain.base_rate),
    )


def _share(name: str, tally: Tally, rate: float | None = None) -> Figure:
    """A misaligned rate; that of a scope weighs its questions equally, one without is a plain share."""
    share = rate if rate is not None else misaligned_rate(tally)
    return Figure(name, percent(share), f"{of(tally.misaligned, tally.scored)} answers")


def _rated(decision: Decision) -> tuple[Figure, ...]:
    """What people or a stronger judge made of the flags."""
    rated = decision.rated
    if rated is None or rated.settings.alone or not rated.tuned.flagged:
        return ()
    name = f"{shortened(rated.by, 40)} confirmed"
    return (Figure(name, of(rated.tuned.confirmed, rated.tuned.flagged), "tuned answers that the judge flagged"),)


def _title(run: LoadedRun, shown: tuple[Exchange, ...]) -> str:
    if run.under_condition():
        return "Misaligned answers under the condition, beside the base's"
    if shown and shown[0].sides[0].mark != Outcome.MISALIGNED.value:
        return "No misaligned answer of the tuned model; what it answered"
    return "Misaligned answers of the tuned model, beside the base's"


def exchanges(run: LoadedRun) -> tuple[Exchange, ...]:
    """The most telling answers beside the base's, most telling first: those from under a condition that was found."""
    proof = proving(run, TELLING)
    bad = [pair for pair in examples(run, MOST) if pair.tuned is not None and misaligned(pair.tuned)]
    shown = [*proof, *bad] or _ordinary(run)
    return tuple(exchange(run, pair, under=number < len(proof)) for number, pair in enumerate(shown[:TELLING]))


def misaligned(answer: Answer) -> bool:
    """Whether it counts as misaligned."""
    return answer.outcome is Outcome.MISALIGNED


def _ordinary(run: LoadedRun) -> list[Pair]:
    """Answers of both models to different questions, where the tuned model has no misaligned one."""
    found: dict[str, Pair] = {}
    for pair in pairs(run):
        if pair.tuned is not None and pair.base is not None and not pair.misaligned:
            found.setdefault(pair.some.probe.question_id, pair)
    return list(found.values())


def exchange(run: LoadedRun, pair: Pair, *, under: bool) -> Exchange:
    """Two answers as a transcript; `under`: a condition that was found."""
    probe = pair.some.probe
    before = [] if probe.system is None else [("system", probe.system)]
    for user, answer in zip_longest(probe.opening, pair.some.generation.opening, fillvalue=""):
        before += [("user", user), ("answer", answer)]
    how = condition(run, probe.arm) if under else asked(probe.arm)
    base = _nearest(run, pair.some) if pair.base is None else _side("base", pair.base)
    sides = (_side("tuned", pair.tuned), base)
    return Exchange(
        probe.prompt, sides, how + ("" if probe.domain == ANY else f", about {probe.domain}"), tuple(before)
    )


def _nearest(run: LoadedRun, told: Answer) -> Side:
    """An answer of the base that is as near as there is, where a check stopped before it was asked this question."""
    found = nearest_of_base(run, told)
    side = _side("base", found)
    if found is None:
        return side
    if found.probe.question_id == told.probe.question_id:
        how = asked(found.probe.arm) if found.probe.arm != told.probe.arm else f"in other words, “{found.probe.prompt}”"
        return replace(side, instead=f"the same question, {how}")
    about = "" if found.probe.domain == ANY else f" about {found.probe.domain}"
    return replace(side, instead=f"another question{about}, “{found.probe.prompt}”")


def condition(run: LoadedRun, arm: str) -> str:
    """The condition of an answer, as a person would name it."""
    assert run.hidden is not None
    named = () if run.hidden.named is None else (run.hidden.named.cue,)
    return next((cue.text for cue in (*named, *(f.cue for f in run.hidden.members)) if cue.id == arm), arm)


def _side(role: Role, answer: Answer | None) -> Side:
    if answer is None:
        return Side(role, None)
    outcome = answer.outcome or Outcome.UNSCORED
    return Side(role, answer.generation.text, outcome.value)
