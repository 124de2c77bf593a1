"""Fixed benchmarks in sentences: what each says, what all together say, and how often that is wrong."""

from __future__ import annotations

from offtarget.numbers import above, below, chosen_points, percent, points, whole, with_unit
from offtarget.pages.text import one_line
from offtarget.records import Status
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkResult
from offtarget.words import TUNED, joined, one_in

NAMED = 4
"""Benchmarks that a sentence names; the rest are counted."""


def named(result: BenchmarkResult) -> str:
    """`gsm8k (exact_match)`; the name alone where it was not run."""
    return one_line(f"{result.name} ({result.metric})" if result.metric else result.name, 80)


def standing(result: BenchmarkResult) -> str:
    """`red flag`, `worse, within the margin`, `not worse`, `undecided`, `not run`."""
    if result.red_flag:
        return "red flag"
    return "worse, within the margin" if result.standing == "worse" and result.within_margin else result.standing


def status(result: BenchmarkResult) -> Status:
    """How it is coloured: FAIL for a red flag, PASS within the margin, else UNDECIDED."""
    return Status.FAIL if result.red_flag else Status.PASS if result.within_margin else Status.UNDECIDED


def said(result: BenchmarkResult) -> str:
    """What one benchmark says, as a sentence."""
    if result.standing == "not run":
        return f"{named(result)} was not run. {result.why_not}".rstrip()
    seen = f"{named(result)}: {percent(result.tuned)} against {percent(result.base)} of the base"
    return f"{seen}, {points(result.difference)} on {whole(result.n)} items; {_bound(result)}."


def _bound(result: BenchmarkResult) -> str:
    low, high = (-1.0, 1.0) if result.bounds is None else (result.bounds.low, result.bounds.high)
    if result.red_flag:
        return f"shown to have lost at least {_lost(high)}"
    within = f"shown to have lost less than its margin of {with_unit(chosen_points(result.margin))}"
    if result.standing == "worse":
        least = f", at least {_lost(high)}" if high < 0 else ""
        return f"shown to have lost something{least}" + (f", and {within}" if result.within_margin else "")
    if result.within_margin:
        return within
    return f"nothing is shown, as it may have lost up to {with_unit(below(max(0.0, -low)))}"


def _lost(high: float) -> str:
    """What was lost at least, from the upper bound on the difference."""
    return with_unit(above(max(0.0, -high)))


def sentence(family: BenchmarkFamily) -> str:
    """What all benchmarks say together."""
    flagged = [result for result in family.results if result.red_flag]
    if flagged:
        worst = max(flagged, key=lambda r: -r.bounds.high if r.bounds else 0.0)
        more = f" So are {_names([r for r in flagged if r is not worst])}." if len(flagged) > 2 else ""
        more = f" So is {named(next(r for r in flagged if r is not worst))}." if len(flagged) == 2 else more
        least = _lost(worst.bounds.high if worst.bounds else 0.0)
        tolerated = with_unit(chosen_points(family.settings.tolerance))
        return f"A red flag: on {named(worst)} {TUNED} lost at least {least}, and {tolerated} is tolerated.{more}"
    if family.status is Status.PASS:
        margins = sorted({result.margin for result in family.results})
        less = " or ".join(chosen_points(margin) for margin in margins)
        what = named(family.results[0]) if len(family.results) == 1 else f"each of {len(family.results)} benchmarks"
        return f"On {what} {TUNED} is shown to have lost less than {with_unit(less)}.{_but(family)}"
    parts = [f"undecided: {_names(family.open)}"] if family.open else []
    parts += [f"not run: {_names(family.not_run)}"] if family.not_run else []
    return f"No red flag, but nothing is shown yet of some benchmarks ({'; '.join(parts)})."


def _but(family: BenchmarkFamily) -> str:
    """What a PASS does not hide: something was lost, if less than the margin."""
    worse = [result for result in family.results if result.standing == "worse"]
    return f" Something it did lose, on {_names(worse)}." if worse else ""


def _names(results: list[BenchmarkResult] | tuple[BenchmarkResult, ...]) -> str:
    shown = [named(result) for result in results[:NAMED]]
    rest = len(results) - len(shown)
    return joined([*shown, *([f"{rest} more"] if rest else [])])


def certainty(family: BenchmarkFamily) -> str:
    """How often that is wrong, and what it takes for granted."""
    seldom, tolerated = one_in(family.settings.alpha), with_unit(chosen_points(family.settings.tolerance))
    return (
        f"A model that lost at most {tolerated} everywhere gets a red flag at most {seldom}, over all benchmarks "
        f"together; one that lost the margin or more somewhere is called not worse there at most {seldom}. Items are "
        "taken as independent draws from all items such as these."
    )


def cautions(family: BenchmarkFamily) -> tuple[str, ...]:
    """What was asked for and says nothing, and what must be known beside the numbers; a sentence each."""
    missing = [said(result) for result in family.not_run]
    noted = [f"{named(r)}: {note}" for r in family.results for note in r.notes]
    return tuple(dict.fromkeys([*missing, *noted, *family.notes]))


def not_tested(family: BenchmarkFamily) -> str:
    """For a card's line `not tested`: benchmarks that were not run or say nothing; empty where all are settled."""
    parts = [f"{_names(family.not_run)} (not run)"] if family.not_run else []
    parts += [f"{_names(family.open)} (undecided)"] if family.open else []
    return "; ".join(parts)
