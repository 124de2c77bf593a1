"""From grades to what each way of using a model is worth and what it risks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from offtarget.alternatives.verdict import end_alpha, mean_interval, safety_of
from offtarget.records import Tally
from offtarget.records.alternatives import WAYS, AlternativesSettings, Grade, Reply, Way, WayResult
from offtarget.stats.rates import equal_weight_rate, total_tally, wilson


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
    tallies: dict[str, Tally] = {}
    for grade in grades:
        if grade.way == way and grade.outcome is not None:
            tallies[grade.item] = tallies.get(grade.item, Tally()).plus(grade.outcome)
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
