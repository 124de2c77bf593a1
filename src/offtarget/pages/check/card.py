"""The card of a check or a comparison."""

from __future__ import annotations

from pathlib import Path

from offtarget.numbers import of, percent
from offtarget.pages.card import Card, Exchange, Figure, Side, Step
from offtarget.pages.check import story
from offtarget.pages.check.loading import Answer, LoadedRun, load_run
from offtarget.pages.check.tables import examples
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
    """The most telling answers beside the base's, most telling first."""
    found = []
    for pair in examples(run, 3):
        probe = pair.some.probe
        before = () if probe.system is None else (("system", probe.system),)
        sides = _side("tuned", pair.tuned), _side("base", pair.base)
        found.append(Exchange(probe.prompt, sides, f"{asked(probe.arm)}, about {probe.domain}", before))
    return tuple(found)


def _side(role: Role, answer: Answer | None) -> Side:
    if answer is None:
        return Side(role, None)
    outcome = answer.outcome or Outcome.UNSCORED
    return Side(role, answer.generation.text, outcome.value)
