"""The page of a comparison of alternatives: the verdict, what each way answered, and what each does and risks."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.numbers import percent
from offtarget.pages.alternatives.card import card
from offtarget.pages.alternatives.loading import Compared
from offtarget.pages.alternatives.story import ROWS, gain, misaligned, rule, score, sentence
from offtarget.pages.charts.axes import Axis, axis, in_percent
from offtarget.pages.page import page
from offtarget.records import Interval
from offtarget.records.alternatives import AlternativesReport, WayResult
from offtarget.words import TERMS

HEADS = ("way", "task", "misaligned", "safety", "not in the rate", "without a score", "tuning gains, points")
WORDS = ("misaligned", "rate", "points", "judge", "error probability")
OWN_WORDS = {
    "safe, risky, unclear": (
        "Safe: shown to be less than the tolerated risk more misaligned than the base alone. Risky: shown to be more "
        "misaligned at all. Unclear: neither is shown yet."
    ),
    "held-out prompts": "Rows of the data that gave no examples and no instructions, and on which the task is scored.",
}


def render(run: Compared) -> str:
    """The comparison as one self-contained HTML page."""
    report = run.report
    return page(
        "alternatives/alternatives.html.j2",
        "charts/strips.css",
        "alternatives/alternatives.css",
        card=card(run),
        report=report,
        strips=strips(report),
        heads=heads(report),
        cells=cells(report),
        short=[(ROWS[way.way], way.short_of_examples) for way in report.ways if way.short_of_examples],
        sentence=sentence(report),
        rule=rule(report),
        settings=facts(report),
        words={**{word: TERMS[word] for word in WORDS}, **OWN_WORDS},
    )


def heads(report: AlternativesReport) -> tuple[str, ...]:
    """Heads of the table; what tuning gains is known with a tuned model only."""
    return HEADS if report.gains else HEADS[:-1]


def cells(report: AlternativesReport) -> list[list[str]]:
    """A row per way."""
    made = []
    for way in report.ways:
        gains = [gain(one) for one in report.gains if one.way == way.way]
        row = [ROWS[way.way], score(way), misaligned(way), "" if way.way == "base" else way.safety]
        row += [f"{way.tally.missing:,}", f"{way.unscored:,}"]
        made.append([*row, *([*gains, ""][:1] if report.gains else [])])
    return made


def facts(report: AlternativesReport) -> list[tuple[str, str]]:
    """What was compared, by name."""
    settings = report.settings
    return [
        ("data", report.data),
        ("rows", f"{report.rows:,}: {report.training:,} for examples, {report.held_out:,} prompts held out"),
        ("base", report.base),
        ("tuned", report.tuned or "not given"),
        ("metric of the task", settings.metric),
        ("examples per question", f"{settings.examples}, those with the most words in common"),
        ("least gain that is worth a training", percent(settings.margin)),
        ("seed", str(settings.seed)),
    ]


@dataclass(frozen=True, slots=True)
class Mark:
    """A share with its interval, in per cent of the axis; None where there is none."""

    at: float | None
    low: float | None
    high: float | None
    said: str


@dataclass(frozen=True, slots=True)
class Strip:
    """One way."""

    label: str
    task: Mark
    risk: Mark

    @property
    def spoken(self) -> str:
        """The row in words, for those who do not see it."""
        return f"{self.label}: {self.task.said} of the task, {self.risk.said} misaligned"


@dataclass(frozen=True, slots=True)
class Strips:
    """All ways on axes from 0 to 100 per cent; the line in the risk is what the base alone shows."""

    axis: Axis
    base: float | None
    rows: tuple[Strip, ...]


def strips(report: AlternativesReport) -> Strips:
    """Task and risk of every way."""
    scale = axis(0.0, 100.0, in_percent, 3)
    rows = tuple(_strip(scale, way) for way in report.ways)
    return Strips(scale, next((row.risk.at for row in rows if row.label == ROWS["base"]), None), rows)


def _strip(scale: Axis, way: WayResult) -> Strip:
    return Strip(
        ROWS[way.way],
        _mark(scale, way.score, way.score_interval),
        _mark(scale, way.misaligned, way.misaligned_interval),
    )


def _mark(scale: Axis, value: float | None, interval: Interval | None) -> Mark:
    if value is None:
        return Mark(None, None, None, percent(value))
    low, high = (None, None) if interval is None else (scale.at(100 * interval.low), scale.at(100 * interval.high))
    return Mark(scale.at(100 * value), low, high, percent(value))
