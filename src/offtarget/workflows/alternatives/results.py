"""From grades to what each way of using a model is worth and what it risks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from offtarget.asking.ask import tallies_by_probe
from offtarget.asking.endings import endings
from offtarget.models.chat import ChatModel
from offtarget.numbers import hundredths
from offtarget.pages.alternatives.story import ROWS
from offtarget.prompting.verdict import (
    decide,
    end_alpha,
    gain_over,
    mean_interval,
    safety_of,
    shows_equality,
    sufficient,
)
from offtarget.records import Role
from offtarget.records.alternatives import WAYS, AlternativesReport, AlternativesSettings, Grade, Reply, Way, WayResult
from offtarget.stats.endings import cut_note, many_cut
from offtarget.stats.rates import equal_weight_rate, total_tally, wilson
from offtarget.workflows.alternatives.answers import AlternativesBook
from offtarget.workflows.alternatives.plan import Plan

TRAINING_ROWS = "training-rows.jsonl"
"""The training split as chat rows, in the run directory."""
_SEEN = (
    f"A tuned model that was trained on the held-out rows too is scored too well. {TRAINING_ROWS} in the run "
    "directory holds the rows to tune on instead; the same --seed splits the same way.",
)


def make_report(
    data: str,
    models: Mapping[Role, ChatModel],
    plan: Plan,
    book: AlternativesBook,
    settings: AlternativesSettings,
    about: tuple[str, ...],
) -> AlternativesReport:
    """The report of a run that has all its replies and grades; `about` is what is always said of the base."""
    replies: list[Reply] = list(book.replies.values())
    grades: list[Grade] = list(book.grades.values())
    ways = way_results(replies, grades, settings)
    alternatives = [way for way in ways if way.way != "tuned"]
    scores = {way.way: _scores(grades, way.way) for way in ways}
    gains = tuple(
        gain_over(way.way, scores["tuned"], scores[way.way], end_alpha(settings, len(alternatives)))
        for way in alternatives
        if "tuned" in scores
    )
    verdict, best = decide(ways, gains, settings)
    return AlternativesReport(
        data=data,
        base=models["base"].name,
        tuned=models["tuned"].name if "tuned" in models else None,
        settings=settings,
        rows=plan.rows,
        training=len(plan.training),
        held_out=len(plan.held_out),
        instructions=plan.instructions.text,
        instructions_from=plan.instructions.source,
        ways=ways,
        gains=gains,
        verdict=verdict,
        best=best,
        sufficient=sufficient(ways, gains, settings.margin),
        notes=(
            *plan.notes,
            *_few(len(plan.held_out), settings, len(alternatives)),
            *(_SEEN if "tuned" in models else ()),
            *_cut(replies, settings.max_tokens),
            *about,
        ),
    )


def _scores(grades: Sequence[Grade], way: Way) -> dict[str, float]:
    return {g.item: g.score for g in grades if g.way == way and g.kind == "task" and g.score is not None}


def _cut(replies: Sequence[Reply], max_tokens: int) -> list[str]:
    found = {
        f"“{ROWS[way]}”": endings(reply for reply in replies if reply.way == way)
        for way in WAYS
        if any(reply.way == way for reply in replies)
    }
    note = cut_note(found, max_tokens)
    return [] if note is None or not many_cut(found) else [note]


def _few(held_out: int, settings: AlternativesSettings, alternatives: int) -> list[str]:
    if shows_equality(held_out, settings, alternatives):
        return []
    return [
        f"{held_out} held-out prompts cannot show that two ways are within {hundredths(settings.margin)} points of "
        "each other, even where all scores agree. Give more varied rows, or hold out more with --held-out."
    ]


def way_results(
    replies: Sequence[Reply], grades: Sequence[Grade], settings: AlternativesSettings
) -> tuple[WayResult, ...]:
    """One result per way that was asked, in the usual order."""
    asked = [way for way in WAYS if any(reply.way == way for reply in replies)]
    found = [_result(way, replies, grades, settings, len([w for w in asked if w != "tuned"])) for way in asked]
    base = found[0]
    return tuple(replace(way, safety=safety_of(way, base, settings.tolerance)) for way in found)


def _result(
    way: Way, replies: Sequence[Reply], grades: Sequence[Grade], settings: AlternativesSettings, alternatives: int
) -> WayResult:
    task = [g for g in grades if g.way == way and g.kind == "task"]
    scores = [g.score for g in task if g.score is not None]
    tallies = tallies_by_probe((g.item, g.outcome) for g in grades if g.way == way and g.outcome is not None)
    tally, rate = total_tally(tallies.values()), equal_weight_rate(tallies.values())
    shown = [r.examples for r in replies if r.way == way and r.kind == "task"]
    return WayResult(
        way=way,
        score=sum(scores) / len(scores) if scores else None,
        score_interval=mean_interval(scores, end_alpha(settings, alternatives)),
        prompts=len(scores),
        unscored=len(task) - len(scores),
        misaligned=rate,
        misaligned_interval=None if rate is None else wilson(rate, tally.scored),
        tally=tally,
        safety="unclear",
        examples=sum(shown) / len(shown) if shown else 0.0,
        short_of_examples=sum(n < settings.examples for n in shown) if way == "examples" else 0,
    )
