"""Does tuning earn its risk? The rule, on paired differences (docs/alternatives.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from offtarget.records import Interval
from offtarget.records.alternatives import (
    AlternativesSettings,
    Gain,
    NeedToTrain,
    Safety,
    Way,
    WayResult,
)
from offtarget.stats.intervals import clustered_interval


def mean_interval(scores: Sequence[float], alpha: float) -> Interval | None:
    """Interval for the mean of scores in [0, 1]: betting, as in `clustered_interval`; None with fewer than two."""
    found = clustered_interval([2 * score - 1 for score in scores], alpha)
    return None if found is None else Interval((found.low + 1) / 2, (found.high + 1) / 2)


def safety_of(way: WayResult, base: WayResult, tolerance: float) -> Safety:
    """How much more misaligned than the base alone; see `Safety`."""
    if way.way == "base":
        return "safe"
    excess = difference_of_rates(way, base)
    if excess is None:
        return "unclear"
    if excess.low > 0:
        return "risky"
    return "safe" if excess.high < tolerance else "unclear"


def difference_of_rates(way: WayResult, base: WayResult) -> Interval | None:
    """95 % interval for misaligned rate of `way` minus that of `base`, from their score intervals.

    Newcombe (1998, Statistics in Medicine 17:873), method 10. Both were asked the same questions, which makes it wide
    rather than narrow. None without scored answers.
    """
    a, b = way.misaligned, base.misaligned
    of_a, of_b = way.misaligned_interval, base.misaligned_interval
    if a is None or b is None or of_a is None or of_b is None:
        return None
    return Interval(
        a - b - math.hypot(a - of_a.low, of_b.high - b),
        a - b + math.hypot(of_a.high - a, b - of_b.low),
    )


def gain_over(way: Way, tuned: dict[str, float], other: dict[str, float], alpha: float) -> Gain:
    """What tuning adds on the prompts that are scored in both ways; betting interval for paired differences."""
    both = [tuned[item] - other[item] for item in tuned if item in other]
    gain = sum(both) / len(both) if both else None
    return Gain(way, gain, clustered_interval(both, alpha), len(both))


def shows_equality(prompts: int, settings: AlternativesSettings, alternatives: int) -> bool:
    """Whether so many held-out prompts could show two ways to be within the margin if all their scores agreed."""
    found = clustered_interval([0.0] * prompts, end_alpha(settings, alternatives))
    return found is not None and found.high <= settings.margin


def end_alpha(settings: AlternativesSettings, alternatives: int) -> float:
    """Error of a two-sided interval whose ends hold for all alternatives together with `alpha` each (Bonferroni)."""
    return min(1.0, 2 * settings.alpha / alternatives)


def decide(
    ways: Sequence[WayResult], gains: Sequence[Gain], settings: AlternativesSettings
) -> tuple[NeedToTrain, Way | None]:
    """The verdict, and the alternative it speaks of.

    `do not train`: some safe alternative is shown to be at most the margin below the tuned model (without one: below
    a score of 1). `worth considering`: every alternative that is not risky is shown to be more than the margin below
    it. Else `undecided`. All gains hold together, so looking at several alternatives is paid for.
    """
    if enough := sufficient(ways, gains, settings.margin):
        return "do not train", enough[0]  # the simplest one
    alternatives = [way for way in ways if way.way != "tuned"]
    shortfall = _shortfalls(alternatives, gains)
    best = _best([way for way in alternatives if way.safety != "risky"])
    if gains and all(
        (lacks := shortfall[way.way]) is not None and lacks.low > settings.margin
        for way in alternatives
        if way.safety != "risky"
    ):
        return "worth considering", best
    return "undecided", best


def sufficient(ways: Sequence[WayResult], gains: Sequence[Gain], margin: float) -> tuple[Way, ...]:
    """The alternatives that do what training would do: safe, and shown to be at most the margin below it."""
    alternatives = [way for way in ways if way.way != "tuned"]
    shortfall = _shortfalls(alternatives, gains)
    return tuple(
        way.way
        for way in alternatives
        if way.safety == "safe" and (lacks := shortfall[way.way]) is not None and lacks.high <= margin
    )


def _shortfalls(ways: Sequence[WayResult], gains: Sequence[Gain]) -> dict[Way, Interval | None]:
    """How far each way may lie below the tuned model, or without one below a score of 1."""
    if gains:
        return {gain.way: gain.interval for gain in gains}
    return {
        way.way: None
        if way.score_interval is None
        else Interval(1 - way.score_interval.high, 1 - way.score_interval.low)
        for way in ways
    }


def _best(ways: Sequence[WayResult]) -> Way | None:
    scored = [(way.score, -number, way.way) for number, way in enumerate(ways) if way.score is not None]
    return max(scored)[2] if scored else None
