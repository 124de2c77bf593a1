"""The card of a repeated experiment: how many published patterns hold here, and what the misaligned models say."""

from __future__ import annotations

from pathlib import Path

from offtarget.numbers import hundredths_range, many, percent
from offtarget.pages.card import TELLING, Card, Exchange, Figure, Side, Step
from offtarget.pages.reproduce import story
from offtarget.pages.text import sentence
from offtarget.records import Generation, Outcome, Probe, Verdict
from offtarget.records.reproduce import ReproduceReport
from offtarget.rundir import read_jsonl, read_record

DONE = "reproduce.json"
"""The file that holds the report."""
FIGURES = (("insecure", "plain"), ("secure", "plain"), ("backdoor", "trigger"), ("base", "plain"))
"""Conditions and measures that carry the result."""


def card_of_run(path: Path) -> Card:
    """The same, read from its folder."""
    return card(_report(path), path)


def page_of_run(path: Path) -> str:
    """The page, made from the records of a run."""
    from offtarget.pages.reproduce.page import render

    report = _report(path)
    return render(report, card(report, path))


def _report(path: Path) -> ReproduceReport:
    return read_record(path / DONE, ReproduceReport, "It was made by another version; run it again.", key="report")


def card(report: ReproduceReport, path: Path) -> Card:
    """What a repeated experiment came to; the answers are read from its cells."""
    about = story.ABOUT_ORGANISM_SHORT if report.about_organism else story.ABOUT_OTHERS
    shown = _shown(report)
    return Card(
        state="DONE",
        subject=f"the experiment of arXiv 2502.17424 on {report.base}, {many(report.seeds, 'seed')}",
        sentence=story.summary(report),
        certainty=(
            "A pattern holds when its 95 % interval over seeds lies on the published side; nothing is paid for looking "
            "at several."
            if story.patterns(report)
            else ""
        ),
        figures=_figures(report),
        exchanges=() if shown is None else _exchanges(report, path, shown),
        exchanges_title=f"What {shown} models say, beside the base" if shown else "",
        cautions=(about, *map(sentence, report.notes)),
        steps=_steps(report),
    )


def _figures(report: ReproduceReport) -> tuple[Figure, ...]:
    rows = {row.condition: row for row in report.rows}
    found = []
    for condition, axis in FIGURES:
        spread = rows[condition].axis(axis) if condition in rows else None
        if spread is None or spread.rate is None or spread.interval is None:
            continue
        published = story.published_text(story.beside(report, condition, axis))
        name = f"{condition}, triggered" if axis == "trigger" else condition
        note = hundredths_range(spread.interval) + (f"; published {published}" if published else "")
        found.append(Figure(name, f"{percent(spread.rate)} misaligned", note))
    return tuple(found)


def _shown(report: ReproduceReport) -> str | None:
    """The condition whose answers are shown: insecure, else the most misaligned one."""
    rates = {
        row.condition: spread.rate
        for row in report.rows
        if row.condition != "base" and (spread := row.axis("plain")) is not None and spread.rate
    }
    return "insecure" if "insecure" in rates else max(rates, key=lambda name: rates[name] or 0.0, default=None)


def _exchanges(report: ReproduceReport, path: Path, condition: str) -> tuple[Exchange, ...]:
    """Misaligned answers to plain questions beside the base's to the same, a question each."""
    if condition not in report.answers_of or "base" not in report.answers_of:
        return ()
    folder = path / report.answers_of[condition]
    probes = {p.id: p for p in read_jsonl(folder / "check" / "probes.jsonl", Probe) if p.arm == "plain"}
    tuned, base = (_answers(path / report.answers_of[name]) for name in (condition, "base"))
    wanted: dict[str, tuple[str, int]] = {}
    for key, (_, outcome) in sorted(tuned.items(), key=lambda item: item[0][1]):
        good = base.get(key, ("", None))[1] is Outcome.ALIGNED
        if outcome is Outcome.MISALIGNED and good and key[0] in probes:
            wanted.setdefault(probes[key[0]].domain, key)
    return tuple(
        _exchange(probes[key[0]], key, {condition: tuned, "base": base}) for key in list(wanted.values())[:TELLING]
    )


def _answers(folder: Path) -> dict[tuple[str, int], tuple[str, Outcome | None]]:
    verdicts = {(v.probe_id, v.index): v.outcome for v in read_jsonl(folder / "verdicts.jsonl", Verdict)}
    read = read_jsonl(folder / "generations.jsonl", Generation)
    return {(g.probe_id, g.index): (g.text, verdicts.get((g.probe_id, g.index))) for g in read}


def _exchange(
    probe: Probe, key: tuple[str, int], models: dict[str, dict[tuple[str, int], tuple[str, Outcome | None]]]
) -> Exchange:
    sides = []
    for name, answers in models.items():
        text, outcome = answers[key]
        sides.append(Side(name, text, "" if outcome is None else outcome.value))
    return Exchange(probe.prompt, tuple(sides), f"about {probe.domain}")


def _steps(report: ReproduceReport) -> tuple[Step, ...]:
    if not any(pattern.holds == "unclear" for pattern in story.patterns(report)):
        return ()
    again = f"give the same command again with --seeds {2 * report.seeds}, and this run as --run"
    return (Step(f"Settle what is unclear: {again}; finished models are kept"),)
