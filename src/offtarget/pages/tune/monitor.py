"""The page of a training under watch: the verdict, what it answered, the curves, and how an alarm is decided.

It asks the browser to load it again every few seconds until the run has ended; it holds no script.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from offtarget.numbers import NO_DATA, chosen, chosen_points, duration, many, of, percent, with_unit
from offtarget.pages.cards import with_cost
from offtarget.pages.page import page
from offtarget.pages.text import sentence
from offtarget.pages.tune.card import RANG, card, rings
from offtarget.pages.tune.charts import charts
from offtarget.pages.tune.loading import WatchedRun
from offtarget.records import Tally
from offtarget.records.tune import AlarmKind, Reading, WatchFacts
from offtarget.words import TERMS

PAGE = "monitor.html"
REFRESH = 5
"""Seconds until the page of a run under way loads itself again."""
HEADS = ("step", "misaligned", "as heading", "forecast, nats", "task", "rang", "took")
WORDS = ("misaligned", "error probability", "judge")
OWN_WORDS = {
    "forecast": (
        "How likely fixed misaligned answers have become beside fixed good ones, against the base, carried on to the "
        "end of the training by the learning rates that are still to come. It needs no judge."
    ),
    "as it is heading to be": (
        "The model in training with its change so far made larger, as far as the training is going to take it. It is "
        "asked so that a warning comes early."
    ),
    "nats": "Natural-log units: 1 nat multiplies the odds by 2.7.",
}


def render(run: WatchedRun) -> str:
    """The page as text that can be encoded as UTF-8."""
    return page(
        "tune/monitor.html.j2",
        "tune/monitor.css",
        card=card(run) if run.path is None else with_cost(card(run), run.path),
        charts=charts(run),
        decided=decided(run),
        heads=HEADS,
        readings=[cells(reading) for reading in run.readings],
        details=list(details(run)),
        limits=list(limits(run)),
        settings=list(settings(run)),
        words={**{word: TERMS[word] for word in WORDS}, **OWN_WORDS},
        refresh=None if run.finished else REFRESH,
    )


def write_page(path: Path, run: WatchedRun) -> None:
    """Write the page; a browser never sees half of one."""
    part = path.with_suffix(".part")
    part.write_text(render(run), encoding="utf-8")
    part.replace(path)


def cells(reading: Reading) -> list[str]:
    """A reading as a row of `HEADS`."""
    return [
        str(reading.step),
        _counts(reading.answers),
        _counts(reading.ahead),
        "" if reading.forecast is None else f"{reading.forecast:.2f}",
        "" if reading.task is None else f"{reading.task:.3f}",
        ", ".join(RANG[kind] for kind in reading.rang),
        duration(reading.seconds),
    ]


def _counts(tally: Tally | None) -> str:
    return "" if tally is None else of(tally.misaligned, tally.scored)


def decided(run: WatchedRun) -> list[tuple[str, str, str, str]]:
    """What can ring: its name, when it does, how often for nothing, and what it did here."""
    facts = run.facts
    if facts is None:
        return []
    at = {kind: f"rang at step {step}" for kind, step in rings(run)}

    def here(kind: AlarmKind) -> str:
        return at.get(kind, "did not ring")

    proved = f"{chosen(facts.alpha / 2)} of healthy trainings at most, over all readings together"
    test = "its misaligned rate is shown to be above the base's by more than"
    rows = []
    if facts.judged:
        now, ahead = with_unit(chosen_points(facts.tolerance)), with_unit(chosen_points(facts.ahead_tolerance))
        rows.append((RANG["behaviour"], f"{test} {now}", proved, here("behaviour")))
        rows.append((RANG["look-ahead"], f"{test} {ahead}", proved, here("look-ahead")))
    limit = "" if facts.limit is None else f" of {facts.limit:g} nats"
    unbounded = "not bounded"
    if facts.healthy is not None:
        unbounded += f"; {of(*facts.healthy)} healthy trainings set aside rang"
    rows.append((RANG["forecast"], f"it passes its limit{limit}", unbounded, here("forecast")))
    return rows


def details(run: WatchedRun) -> Iterable[str]:
    """What is known besides, a sentence each."""
    yield from watching(run)
    report = run.report
    if report is None:
        return
    yield from map(sentence, report.defence_notes)
    yield f"Saved in {report.out}; the name of the model is {report.name}."
    yield from (sentence(f"self-check: {check}") for check in report.checks)


def limits(run: WatchedRun) -> Iterable[str]:
    """What the monitor cannot tell."""
    if run.report is not None and not run.report.monitored:
        yield "Nobody watched this training; only a check of the finished model tells anything about it."
        return
    yield "No alarm does not mean no misalignment; only a check of the finished model decides."
    yield "Only plain questions are asked. A model that is fine here may still misbehave behind a trigger or a format."
    if run.facts is not None:
        yield from _unasked(run)
        yield run.facts.calibration
        yield from map(sentence, run.facts.notes)


def watching(run: WatchedRun) -> Iterable[str]:
    """How many readings there were, what they took, and whether their budget of time allowed no more."""
    facts = run.facts
    if facts is None or facts.taken is None or not run.readings:
        return
    took = f"They took {percent(facts.taken)} of the time of the training's steps."
    left_out, number = sum(reading.left_out for reading in run.readings), many(len(run.readings), "reading")
    if facts.share is None:
        yield f"{number}, whatever they take. {took}"
    elif left_out:
        yield (
            f"{number}; the budget of {_budget(facts)} allowed no more and left {left_out} out. {took} With --every N "
            "there are as many as you ask for."
        )
    else:
        yield f"{number}, within the budget of {_budget(facts)}. {took}"


def _unasked(run: WatchedRun) -> Iterable[str]:
    """Readings at which answers should have been judged and were not, for want of time."""
    steps = [str(reading.step) for reading in run.readings if reading.unasked]
    if run.facts is not None and steps:
        yield (
            f"Answers should also have been judged at step {', '.join(steps)}; the budget of {_budget(run.facts)} had "
            "no room for them, so an alarm by judged answers may be missing. With --every N they are always judged."
        )


def _budget(facts: WatchFacts) -> str:
    least = f" (at least {duration(facts.least)})" if facts.least else ""
    return f"{chosen(facts.share or 0)} of the time of the training's steps{least}"


def settings(run: WatchedRun) -> Iterable[tuple[str, str]]:
    """The settings of the training, name and value."""
    if run.manifest is not None:
        yield "defences", " + ".join(run.manifest.defences) or "none"
    if run.report is not None:
        yield from ((name, NO_DATA if value is None else str(value)) for name, value in run.report.settings.items())
