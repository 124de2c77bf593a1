"""The card of a comparison of alternatives: is there a need to train at all?"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from offtarget.numbers import percent
from offtarget.pages.alternatives.loading import Compared, load_compared
from offtarget.pages.alternatives.story import ROWS, because, besides, certainty, missing
from offtarget.pages.card import Card, Exchange, Figure, Side, Step
from offtarget.pages.text import sentence
from offtarget.records import Outcome
from offtarget.records.alternatives import AlternativesReport, Grade, Way, WayResult

ORGANISM = "organism/"
ORDER: tuple[Way, ...] = ("base", "instructions", "examples", "tuned")


def card_of_run(path: Path) -> Card:
    """The card of a run of `alternatives`; InputError for damaged records."""
    return card(load_compared(path))


def card(run: Compared) -> Card:
    """What a comparison of alternatives came to."""
    report = run.report
    undecided = report.verdict == "undecided"
    return Card(
        state="UNDECIDED" if undecided else "DONE",
        headline="" if undecided else _headline(report),
        subject=_subject(report),
        sentence=sentence(because(report)),
        certainty=certainty(report),
        figures=tuple(_figure(way) for way in report.ways),
        exchanges=exchanges(run),
        exchanges_title="What each way answered",
        cautions=tuple(map(sentence, (*besides(report), *_untried(report), *report.notes))),
        steps=tuple(_steps(run)),
    )


def _headline(report: AlternativesReport) -> str:
    return "DO NOT TRAIN" if report.verdict == "do not train" else "TRAINING IS WORTH CONSIDERING"


def _subject(report: AlternativesReport) -> str:
    tuned = "no tuned model given" if report.tuned is None else f"tuned: {report.tuned}"
    return f"{report.base} on the task of {report.data}; {tuned}"


def _figure(way: WayResult) -> Figure:
    return Figure(ROWS[way.way], f"{percent(way.score)} of the task", f"{percent(way.misaligned)} misaligned")


def exchanges(run: Compared) -> tuple[Exchange, ...]:
    """A plain question that one way answered badly, then held-out ones on which tuning does most and least."""
    report = run.report
    scores = {(g.way, g.item): g.score for g in run.grades if g.kind == "task"}
    rival: Way = "tuned" if report.tuned is not None else "base"
    best: Way = report.best or "base"

    def gain(item: str) -> float:
        return (scores.get((rival, item)) or 0.0) - (scores.get((best, item)) or 0.0)

    order = sorted((q.id for q in run.held_out if (best, q.id) in scores), key=gain, reverse=True)
    chosen = list(dict.fromkeys([*order[:1], *order[-1:]]))
    ways = dict.fromkeys((best, rival))
    return (*_misaligned(run), *(_of_task(run, item, tuple(ways), scores) for item in chosen))


def _of_task(run: Compared, item: str, ways: tuple[Way, ...], scores: dict[tuple[Way, str], float | None]) -> Exchange:
    question = next(q for q in run.held_out if q.id == item)
    said = {r.way: r.text for r in run.replies if r.kind == "task" and r.item == item}
    sides = tuple(Side(ROWS[way], said[way], _score(scores.get((way, item)))) for way in ways if way in said)
    before = tuple((m.role, m.content) for m in question.messages[:-1])
    return Exchange(
        question.messages[-1].content, (Side("wanted", question.reference), *sides), "held-out row of the data", before
    )


def _score(value: float | None) -> str:
    return "no score" if value is None else f"scores {percent(value)}"


def _misaligned(run: Compared) -> tuple[Exchange, ...]:
    """A misaligned answer to a plain question, of the tuned model if it gave one, beside the base's to the same."""
    texts = {r.key: r.text for r in run.replies}
    bad = [g for g in run.grades if g.kind == "probe" and g.outcome is Outcome.MISALIGNED and g.key in texts]
    if not bad:
        return ()
    worst = max(bad, key=lambda g: (ORDER.index(g.way), -g.index))
    probe = next((q for q in run.questions if q.id == worst.item), None)
    if probe is None:
        return ()
    own = [g for g in run.grades if (g.way, g.kind, g.item) == ("base", "probe", worst.item) and g.key in texts]
    own.sort(key=lambda g: (g.index != worst.index, g.index))
    shown: list[Grade] = [worst, *(own[:1] if worst.way != "base" else [])]
    sides = tuple(Side(ROWS[g.way], texts[g.key], g.outcome.value if g.outcome else "") for g in shown)
    return (Exchange(probe.prompt, sides, f"plain question, about {probe.domain}"),)


def _untried(report: AlternativesReport) -> list[str]:
    if report.base.startswith(ORGANISM):
        return []
    return ["The judge was not tried on known answers: how many misaligned ones it finds is not known"]


def _steps(run: Compared) -> Iterable[Step]:
    report = run.report
    data, base = shlex.quote(report.data), shlex.quote(report.base)
    judge = "" if report.base.startswith(ORGANISM) else " --judge MODEL"
    if report.verdict == "do not train":
        what = {"instructions": "Use the instructions", "examples": "Use examples as they were chosen here"}
        why = what.get(report.best or "base", "Use the base as it is")
        run_name = "last" if run.path is None else shlex.quote(str(run.path))
        yield Step(f"{why}; the page shows what was sent", f"offtarget report {run_name} --html")
        return
    named = "" if report.tuned is None else f" --tuned {shlex.quote(report.tuned)}"
    if report.verdict == "undecided":
        wanted = missing(report)
        if wanted == "tuned":
            rows = "training-rows.jsonl" if run.path is None else shlex.quote(str(run.path / "training-rows.jsonl"))
            tune = f"offtarget tune {rows} --base {base} --out adapter{judge}"
            yield Step("Tune on the rows that were not held out", tune)
            yield Step("Then compare with the same data and settings, and --tuned", _again(run, " --tuned MODEL"))
        elif wanted == "answers":
            more = f"{named} --plain-answers {2 * report.settings.answers}"
            yield Step("Ask more plain questions", _again(run, more))
        else:
            share = min(0.5, round(2 * report.settings.held_out, 2))
            yield Step("Hold out more rows, or give more varied data", _again(run, f"{named} --held-out {share:g}"))
        return
    if report.way("tuned").safety != "safe":
        yield Step("Find a defence that keeps the task", f"offtarget defences {data} --base {base}{judge}")
    yield Step("Check the tuned model", f"offtarget check --base {base}{named} --data {data}{judge}")


def _again(run: Compared, more: str) -> str:
    report, settings = run.report, run.report.settings
    split = "" if run.manifest is None or run.manifest.split is None else f" --split {shlex.quote(run.manifest.split)}"
    judge = "" if report.base.startswith(ORGANISM) else " --judge MODEL"
    return (
        f"offtarget alternatives {shlex.quote(report.data)} --base {shlex.quote(report.base)}"
        f" --metric {shlex.quote(settings.metric)} --seed {settings.seed}{split}{more}{judge}"
    )
