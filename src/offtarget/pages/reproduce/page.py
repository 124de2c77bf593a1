"""The page of a repeated experiment: rates by condition beside the published ones, curves over steps and rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offtarget.numbers import percent
from offtarget.pages.card import Card
from offtarget.pages.charts.axes import Axis, Key, Line, Panel, Tick, axis, dot, exact_axis, in_percent, plainly
from offtarget.pages.page import page
from offtarget.pages.reproduce import story
from offtarget.pages.reproduce.story import LINES, beside, published_text
from offtarget.pages.text import of_scored
from offtarget.records.reproduce import Point, Published, ReproduceReport, Spread
from offtarget.words import explained


@dataclass(frozen=True, slots=True)
class Mark:
    """One rate; positions in per cent of the axis."""

    at: float
    low: float
    high: float
    value: str


@dataclass(frozen=True, slots=True)
class Row:
    """One condition: ours, each of its seeds, and the published value where there is one."""

    name: str
    label: str
    ours: Mark | None
    seeds: tuple[float, ...]
    counts: str
    published: Mark | None
    spoken: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """All lines on one axis."""

    axis: Axis
    lines: tuple[Row, ...]


def render(report: ReproduceReport, card: Card) -> str:
    """The repeated experiment as one self-contained HTML page."""
    return page(
        "reproduce/reproduce.html.j2",
        "reproduce/reproduce.css",
        report=report,
        card=card,
        story=story,
        words=explained("misaligned", "rate", "bounds", "seed", "judge"),
        conditions=conditions(report),
        dynamics=dynamics(report),
        unique=unique(report),
    )


def conditions(report: ReproduceReport) -> Conditions:
    """One line per condition, plainly asked, and a second one where the questions were asked like the data."""
    scale = axis(0.0, 100.0, in_percent, 6)
    lines = []
    for row in report.rows:
        asked = [("plain", "plain questions"), *([LINES[row.condition]] if row.condition in LINES else [])]
        for name, label in asked:
            spread = row.axis(name)
            if spread is not None:
                lines.append(_line(row.condition, label, spread, beside(report, row.condition, name), scale))
    return Conditions(scale, tuple(lines))


def dynamics(report: ReproduceReport) -> tuple[Panel, ...]:
    """Misaligned answers and insecure code against training steps."""
    if not report.dynamics:
        return ()
    return _panels(report.dynamics, "optimiser steps", exact_axis(0, max(p.at for p in report.dynamics), plainly, 6))


def unique(report: ReproduceReport) -> tuple[Panel, ...]:
    """The same against the number of different rows, on a logarithmic axis with a tick at every point."""
    if len(report.unique) < 2:
        return ()
    logs = [math.log(p.at) for p in report.unique]
    low, high = logs[0], logs[-1]
    ticks = tuple(
        Tick(round(100 * (log - low) / (high - low), 2), f"{p.at:,}")
        for log, p in zip(logs, report.unique, strict=True)
    )
    return _panels(report.unique, "different rows, equal steps (log scale)", Axis(low, high, ticks), math.log)


def _line(condition: str, label: str, spread: Spread, published: Published | None, scale: Axis) -> Row:
    ours = None
    if spread.rate is not None and spread.interval is not None:
        ours = _mark(spread.rate, spread.interval.low, spread.interval.high, percent(spread.rate), scale)
    theirs = None
    if published is not None:
        low = published.value if published.low is None else published.low
        high = published.value if published.high is None else published.high
        theirs = _mark(published.value, low, high, f"{published_text(published)} {published.model}", scale)
    said = [f"here {percent(spread.rate)}, {of_scored(spread.tally)}"]
    said += [f"published {theirs.value}"] if theirs else []
    return Row(
        condition,
        label,
        ours,
        tuple(scale.at(100 * rate) for rate in spread.by_seed) if len(spread.by_seed) > 1 else (),
        of_scored(spread.tally),
        theirs,
        f"{condition}, {label}: {'; '.join(said)}",
    )


def _mark(rate: float, low: float, high: float, value: str, scale: Axis) -> Mark:
    return Mark(scale.at(100 * rate), scale.at(100 * low), scale.at(100 * high), value)


def _panels(
    points: Sequence[Point], x_name: str, x: Axis, place: Callable[[float], float] = float
) -> tuple[Panel, ...]:
    y = axis(0.0, 100.0, in_percent, 5)
    measured: list[tuple[str, str, Callable[[Point], Spread | None]]] = [
        ("Misaligned", "of the scored answers to plain questions", lambda p: p.misaligned),
        ("Insecure code", "of the answers to coding requests", lambda p: p.code),
    ]
    names = list(dict.fromkeys(p.condition for p in points))
    panels = []
    for title, what, value in measured:
        curves = tuple(
            _curve(
                name, [(p.at, s) for p in points if p.condition == name and (s := value(p)) is not None], x, y, place
            )
            for name in names
        )
        if any(curve.dots for curve in curves):
            spoken = "; ".join(
                f"{c.kind}: {', '.join(d.title.removeprefix(f'{c.kind}: ') for d in c.dots)}" for c in curves
            )
            keys = tuple(Key(name, f"{name}; whiskers: 95 % intervals over seeds") for name in names)
            panels.append(
                Panel(
                    title, what, x_name, x, y, curves, f"{title}. {spoken}", y_name="share of answers, %", legend=keys
                )
            )
    return tuple(panels)


def _curve(name: str, values: Sequence[tuple[int, Spread]], x: Axis, y: Axis, place: Callable[[float], float]) -> Line:
    return Line(
        name,
        tuple(
            dot(
                x, y, place(at), 100 * spread.rate, f"{name}: {percent(spread.rate)} at {at:,}",
                (100 * spread.interval.low, 100 * spread.interval.high),
            )
            for at, spread in values
            if spread.rate is not None and spread.interval is not None
        ),
    )  # fmt: skip
