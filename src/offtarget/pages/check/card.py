"""The card of a check or a comparison."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from offtarget.numbers import of, percent
from offtarget.pages.card import TELLING, Card, Exchange, Figure, Side, Step
from offtarget.pages.check import story
from offtarget.pages.check.loading import Answer, LoadedRun, load_run
from offtarget.pages.check.tables import Pair, examples, proving
from offtarget.pages.text import sentence
from offtarget.records import Comparison, Outcome, Role
from offtarget.words import asked


def card_of_run(path: Path) -> Card:
    """The same, read from its folder."""
    return card(load_run(path))


def card(run: LoadedRun) -> Card:
    """What a run of two models came to."""
    tuned, base = run.manifest.models["tuned"].name, run.manifest.models["base"].name
    return Card(
        state=story.status(run),
        headline=story.grade(run),
        subject=f"{tuned}, held against {base}",
        sentence=story.reason(run),
        certainty=story.error_probability(run),
        figures=_figures(run),
        exchanges=exchanges(run),
        exchanges_title="Misaligned answers, beside the base's",
        cautions=() if run.decision is None else tuple(map(sentence, run.decision.notes)),
        steps=(Step(story.next_step(run)),),
    )


def _figures(run: LoadedRun) -> tuple[Figure, ...]:
    if run.decision is None:
        return ()
    whole = run.decision.overall
    return tuple(Figure(f"{role} misaligned", *_rate(whole, role)) for role in ("tuned", "base"))


def _rate(scope: Comparison, role: Role) -> tuple[str, str]:
    rate, tally = (scope.tuned_rate, scope.tuned) if role == "tuned" else (scope.base_rate, scope.base)
    return percent(rate), f"{of(tally.misaligned, tally.scored)} answers"


def exchanges(run: LoadedRun) -> tuple[Exchange, ...]:
    """The most telling answers beside the base's, most telling first: those from under a condition that was found."""
    proof = proving(run, TELLING)
    shown = [*proof, *(pair for pair in examples(run, TELLING) if pair.tuned is not None)]
    return tuple(exchange(run, pair, under=number < len(proof)) for number, pair in enumerate(shown[:TELLING]))


def exchange(run: LoadedRun, pair: Pair, *, under: bool) -> Exchange:
    """Two answers as a transcript; `under`: a condition that was found."""
    probe = pair.some.probe
    before = [] if probe.system is None else [("system", probe.system)]
    for user, answer in zip_longest(probe.opening, pair.some.generation.opening, fillvalue=""):
        before += [("user", user), ("answer", answer)]
    how = _condition(run, probe.arm) if under else asked(probe.arm)
    sides = (_side("tuned", pair.tuned), _side("base", pair.base))
    return Exchange(probe.prompt, sides, f"{how}, about {probe.domain}", tuple(before))


def _condition(run: LoadedRun, arm: str) -> str:
    """The condition of an answer, as a person would name it."""
    assert run.hidden is not None
    named = () if run.hidden.named is None else (run.hidden.named.cue,)
    return next((cue.text for cue in (*named, *(f.cue for f in run.hidden.members)) if cue.id == arm), arm)


def _side(role: Role, answer: Answer | None) -> Side:
    if answer is None:
        return Side(role, None)
    outcome = answer.outcome or Outcome.UNSCORED
    return Side(role, answer.generation.text, outcome.value)
