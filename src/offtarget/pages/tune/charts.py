"""The curves of a training under watch, against optimiser steps, with the alarm as a labelled line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from offtarget.numbers import of, percent
from offtarget.pages.charts.axes import (
    Axis,
    Dot,
    Key,
    Level,
    Line,
    Panel,
    Upright,
    axis,
    dot,
    exact_axis,
    in_percent,
    level,
    plainly,
)
from offtarget.pages.tune.card import base_tally
from offtarget.pages.tune.loading import WatchedRun
from offtarget.records import Tally
from offtarget.records.tune import Reading
from offtarget.stats.binomial import clopper_pearson

STEPS = "optimiser steps"
Kinds = Sequence[tuple[str, str, Callable[[Reading], float | None]]]
"""Name in the legend, CSS class, and what is read; the last is drawn on top."""


def charts(run: WatchedRun) -> tuple[Panel, ...]:
    """Misaligned answers, forecast, task and projection, those that were measured; none without two readings."""
    if len(run.readings) < 2:
        return ()
    made = (_misaligned(run), _forecast(run), _task(run), _projection(run))
    return tuple(one for one in made if one is not None)


def _misaligned(run: WatchedRun) -> Panel | None:
    x, y = _steps(run), axis(0.0, 100.0, in_percent, 5)
    kinds: list[tuple[str, str, Callable[[Reading], Tally | None]]] = [
        ("as it is heading to be", "ahead", lambda r: r.ahead),
        ("in training", "now", lambda r: r.answers),
    ]
    made = [(name, Line(kind, _rates(run, tally, x, y))) for name, kind, tally in kinds]
    base = base_tally(run)
    share = f"base: {of(base.misaligned, base.scored)}"
    return _panel(
        run,
        "Misaligned answers",
        "Of the judged answers to plain questions; bars are 95 % intervals.",
        "misaligned, % of the judged answers",
        (x, y),
        made,
        (level(y, 100 * base.misaligned / base.scored, share),) if base.scored else (),
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


def _forecast(run: WatchedRun) -> Panel | None:
    limit = None if run.facts is None else run.facts.limit
    return _values(
        run,
        "How much likelier misaligned answers have become",
        "Fixed misaligned against fixed good answers; 1 nat is 2.7 times the odds.",
        "nats above the base",
        [("forecast for the end", "ahead", lambda r: r.forecast), ("in training", "now", lambda r: r.shift)],
        limit,
    )


def _task(run: WatchedRun) -> Panel | None:
    if run.facts is not None and not run.facts.likelihood:
        kinds: Kinds = [("in training", "now", lambda r: r.task)]
        return _values(run, "The task", "Your own metric; higher is better.", "task metric", kinds)
    kinds = [("in training", "now", lambda r: None if r.task is None else -r.task)]
    return _values(run, "The task", "On three training rows; lower is better.", "loss, nats per token", kinds)


def _projection(run: WatchedRun) -> Panel | None:
    return _values(
        run,
        "Movement towards another character",
        "Along the persona direction; the base is 0.",
        "differences of means",
        [("in training", "now", lambda r: next(iter(r.projection.values()), None))],
    )


def _values(
    run: WatchedRun, title: str, what: str, unit: str, kinds: Kinds, limit: float | None = None
) -> Panel | None:
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
    made = [
        (name, Line(kind, tuple(dot(x, y, s, v, f"step {s}: {v:.3g}") for s, v in values)))
        for name, kind, values in found
    ]
    levels = () if limit is None else (level(y, limit, f"limit: {limit:g}"),)
    return _panel(run, title, what, unit, (x, y), made, levels)


def _panel(
    run: WatchedRun,
    title: str,
    what: str,
    unit: str,
    axes: tuple[Axis, Axis],
    made: Sequence[tuple[str, Line]],
    levels: tuple[Level, ...],
) -> Panel | None:
    drawn = [(name, line) for name, line in made if line.dots]
    if not drawn:
        return None
    said = [f"{name}: {line.dots[0].title}, then {line.dots[-1].title}" for name, line in reversed(drawn)]
    alarm = "no alarm rang" if run.raised is None else f"the alarm rang at step {run.raised.step}"
    return Panel(
        title=title,
        what=what,
        x_name=STEPS,
        x=axes[0],
        y=axes[1],
        lines=tuple(line for _, line in drawn),
        spoken=f"{title}: {unit}, against {STEPS}. {'. '.join(said)}; {alarm}.",
        upright=_alarm(run, axes[0]),
        y_name=unit,
        levels=levels,
        legend=tuple(Key(line.kind, name) for name, line in reversed(drawn)) if len(drawn) > 1 else (),
    )


def _steps(run: WatchedRun) -> Axis:
    made = exact_axis(0.0, float(max(r.step for r in run.readings) or 1), plainly, 6)
    return replace(made, ticks=tuple(tick for tick in made.ticks if "." not in tick.label))  # no half steps


def _alarm(run: WatchedRun, x: Axis) -> Upright | None:
    step = None if run.raised is None else run.raised.step
    return None if step is None else Upright(x.at(step), "alarm", f"alarm, step {step}")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
