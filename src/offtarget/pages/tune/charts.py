"""The curves of a training under watch, against optimiser steps, with the alarm as a labelled line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from offtarget.numbers import of, percent
from offtarget.pages.charts.axes import Axis, Dot, axis, dot, exact_axis, in_percent, plainly
from offtarget.pages.tune.card import base_tally
from offtarget.pages.tune.loading import WatchedRun
from offtarget.records import Tally
from offtarget.records.tune import Reading
from offtarget.stats.binomial import clopper_pearson

STEPS = "optimiser steps"
Value = Callable[[Reading], float | None]


@dataclass(frozen=True, slots=True)
class Curve:
    """One thing that was measured, from left to right."""

    name: str
    """In the legend."""
    kind: str
    """CSS class: `now` is drawn through with full dots, `ahead` dashed with hollow ones."""
    dots: tuple[Dot, ...]

    @property
    def points(self) -> str:
        """SVG `points`."""
        return " ".join(f"{one.x:g},{one.y:g}" for one in self.dots)


@dataclass(frozen=True, slots=True)
class Mark:
    """A straight line with a label; `at` in per cent, from the left or from the top."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel."""

    title: str
    unit: str
    """Of the upward axis, in words."""
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    spoken: str
    """The panel in words, for those who do not see it."""
    alarm: Mark | None = None
    level: Mark | None = None
    """What the curves are held against."""
    x_name: str = field(default=STEPS)


def charts(run: WatchedRun) -> tuple[Chart, ...]:
    """Misaligned answers, forecast, task and projection, those that were measured; none without two readings."""
    if len(run.readings) < 2:
        return ()
    made = (_misaligned(run), _forecast(run), _task(run), _projection(run))
    return tuple(one for one in made if one is not None)


def _misaligned(run: WatchedRun) -> Chart | None:
    x, y = _steps(run), axis(0.0, 100.0, in_percent, 5)
    kinds: list[tuple[str, str, Callable[[Reading], Tally | None]]] = [
        ("in training", "now", lambda r: r.answers),
        ("as it is heading to be", "ahead", lambda r: r.ahead),
    ]
    curves = [Curve(name, kind, _rates(run, tally, x, y)) for name, kind, tally in kinds]
    curves = [curve for curve in curves if curve.dots]
    if not curves:
        return None
    base = base_tally(run)
    level = None
    if base.scored:
        level = Mark(round(100 - y.at(100 * base.misaligned / base.scored), 2), f"base: {of(base.misaligned, base.scored)}")
    return Chart(
        "Misaligned answers",
        "% of the judged answers, each with its 95 % interval",
        x,
        y,
        tuple(curves),
        _spoken(run, "Misaligned answers, per cent of those that were judged", curves),
        _alarm(run, x),
        level,
    )


def _rates(run: WatchedRun, tally_of: Callable[[Reading], Tally | None], x: Axis, y: Axis) -> tuple[Dot, ...]:
    dots = []
    for reading in run.readings:
        tally = tally_of(reading)
        if tally is None or not tally.scored:
            continue
        share, ends = tally.misaligned / tally.scored, clopper_pearson(tally.misaligned, tally.scored)
        title = f"step {reading.step}: {percent(share)}, {of(tally.misaligned, tally.scored)}"
        dots.append(dot(x, y, reading.step, 100 * share, title, (100 * ends.low, 100 * ends.high)))
    return tuple(dots)


def _forecast(run: WatchedRun) -> Chart | None:
    limit = None if run.facts is None else run.facts.limit
    return _values(
        run,
        "How much likelier misaligned answers have become",
        "nats above the base, on fixed answers; 1 nat is 2.7 times the odds",
        [("in training", "now", lambda r: r.shift), ("forecast for the end", "ahead", lambda r: r.forecast)],
        limit=limit,
    )


def _task(run: WatchedRun) -> Chart | None:
    if run.facts is not None and not run.facts.likelihood:
        return _values(run, "The task", "your own metric; higher is better", [("in training", "now", lambda r: r.task)])
    unit = "loss on three training rows, nats per token; lower is better"
    return _values(run, "The task", unit, [("in training", "now", lambda r: None if r.task is None else -r.task)])


def _projection(run: WatchedRun) -> Chart | None:
    return _values(
        run,
        "Movement towards another character",
        "differences of means along the persona direction; the base is 0",
        [("in training", "now", lambda r: next(iter(r.projection.values()), None))],
    )


def _values(
    run: WatchedRun, title: str, unit: str, kinds: Sequence[tuple[str, str, Value]], limit: float | None = None
) -> Chart | None:
    found = [
        (name, kind, [(r.step, v) for r in run.readings if (v := _finite(value(r))) is not None])
        for name, kind, value in kinds
    ]
    known = [v for _, _, values in found for _, v in values]
    if len(known) < 2:
        return None
    reach = [*known, *(() if limit is None else (limit,))]
    low, high = min(reach), max(reach)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    x, y = _steps(run), axis(low, high, plainly, 5)
    curves = [
        Curve(name, kind, tuple(dot(x, y, s, v, f"step {s}: {v:.3g}") for s, v in values))
        for name, kind, values in found
        if values
    ]
    level = None if limit is None else Mark(round(100 - y.at(limit), 2), f"limit {limit:g}")
    return Chart(
        title, unit, x, y, tuple(curves), _spoken(run, f"{title}, {unit}", curves), _alarm(run, x), level
    )


def _spoken(run: WatchedRun, what: str, curves: Sequence[Curve]) -> str:
    said = [f"{c.name}: {c.dots[0].title}, then {c.dots[-1].title}" for c in curves]
    alarm = "no alarm" if run.raised is None else f"the alarm rang at step {run.raised.step}"
    return f"{what}, against {STEPS}. {'. '.join(said)}. In this chart {alarm}."


def _steps(run: WatchedRun) -> Axis:
    return exact_axis(0.0, float(max(r.step for r in run.readings) or 1), plainly, 6)


def _alarm(run: WatchedRun, x: Axis) -> Mark | None:
    return None if run.raised is None else Mark(x.at(run.raised.step), f"alarm, step {run.raised.step}")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
