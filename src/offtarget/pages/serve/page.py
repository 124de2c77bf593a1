"""The page of a bundle of evidence: the verdict, the evidence answer by answer, what was flagged, what happened."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

from offtarget.numbers import bounds, chosen, e_value, needed_e_value, percent, whole
from offtarget.pages.card import TELLING, Card
from offtarget.pages.charts.axes import Key, Panel, Upright, exact_axis, level, plainly
from offtarget.pages.charts.trajectories import FLOOR, evidence_line, height, powers
from offtarget.pages.page import page
from offtarget.pages.serve.loading import Bundle
from offtarget.records.answers import Interval
from offtarget.records.serve import METRICS
from offtarget.words import TERMS

PAGE = "serve.html"
SHOWN = 60
"""Flagged answers on the page; the run has all of them."""
HEADS = ("what", "tuned", "base", "worse by, points", "evidence", "tolerated, points")
OWN_WORDS = {
    "late change": (
        "A second test that looks for a model that becomes worse after a long time without a difference. Where there "
        "is no change it goes off once in a million tuned answers on average, or more seldom."
    ),
    "rollout": "One tuned model on trial behind one name. Resumed after a rollback it is the next, with evidence anew.",
}


def render(run: Bundle, card: Card) -> str:
    """The page as text that can be encoded as UTF-8."""
    return page(
        "serve/evidence.html.j2",
        card=card,
        charts=charts(run),
        flagged=card.exchanges[TELLING:SHOWN],
        count=len(card.exchanges),
        more=max(0, run.found.flagged - SHOWN),
        heads=HEADS,
        metrics=metrics(run),
        events=events(run),
        settings=settings(run),
        words={**{word: TERMS[word] for word in ("misaligned", "evidence", "error probability", "judge")}, **OWN_WORDS},
        threshold=needed_e_value(run.found.reading.alpha),
        alpha=run.found.reading.alpha,
    )


def charts(run: Bundle) -> tuple[Panel, ...]:
    """The evidence over tuned answers against its threshold, and that for a late change against its own."""
    if not run.path:
        return ()
    reading, last = run.found.reading, run.path[-1]
    both = (
        ("Evidence of harm, over the whole rollout", [(p.tuned, p.log_e) for p in run.path], reading.log_e,
         1 / reading.threshold, "rollout"),
        ("Evidence of a late change", [(p.tuned, p.log_change) for p in run.path], reading.log_change,
         1 / reading.change_threshold, "late change"),
    )  # fmt: skip
    return tuple(_panel(run, last.tuned, *one) for one in both)


def _panel(run: Bundle, tuned: int, title: str, points: Sequence[tuple[int, float]], now: float, alpha: float,
           kind: str) -> Panel:  # fmt: skip
    alarm = run.found.reading.alarm
    x = exact_axis(0.0, float(max(1, tuned)), plainly, 5)
    heights = [height(value) for _, value in points]
    bar = height(-math.log(alpha))
    y = powers(max(FLOOR, min(-1.0, *heights)), max(bar + 0.5, *(h + 0.3 for h in heights)))
    said = f"After {whole(tuned)} tuned answers: {e_value(now)}; an alarm needs {needed_e_value(alpha)}."
    upright = Upright(x.at(alarm.tuned), "limit", "alarm") if alarm is not None and alarm.kind == kind else None
    return Panel(
        title=title, what=said, x_name="tuned answers in the evidence", x=x, y=y,
        lines=(evidence_line("fail", points, x, y),), spoken=f"{title}. {said}", y_name="evidence, times (log scale)",
        levels=(level(y, bar, f"alarm: {needed_e_value(alpha)}"),), legend=(Key("fail", "evidence"),), upright=upright,
    )  # fmt: skip


def metrics(run: Bundle) -> list[list[str]]:
    """A row per metric."""
    rows = []
    for one in run.found.reading.metrics:
        reading = one.reading
        known = reading.tuned.answers > 0
        rows.append([
            METRICS[one.name],
            _arm(reading.tuned.flagged, reading.tuned.answers, reading.tuned.rate),
            _arm(reading.base.flagged, reading.base.answers, reading.base.rate),
            bounds(Interval(reading.at_least, reading.less_than)) if known else "",
            e_value(reading.log_e_rollout) if known else "not asked",
            f"{100 * one.tolerance:g}",
        ])  # fmt: skip
    return rows


def _arm(flagged: float, answers: int, rate: float | None) -> str:
    return f"{flagged:g} of {whole(answers)} ({percent(rate)})" if answers else "none"


def events(run: Bundle) -> list[list[str]]:
    """What happened, in order."""
    return [
        [time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(event.at)), event.kind, event.who, event.why]
        for event in run.found.events
    ]


def settings(run: Bundle) -> list[tuple[str, str]]:
    """What was set, name and value."""
    manifest, canary = run.manifest, run.manifest.canary
    return [
        ("alias", manifest.alias),
        ("base", manifest.base),
        ("tuned", manifest.tuned),
        ("judge", f"{canary.judge} ({manifest.judge})" if manifest.judge else "none"),
        ("cheap judge", canary.cheap_judge or "none"),
        ("mode", canary.mode),
        ("at an alarm", canary.on_alarm),
        ("people read flagged answers", canary.confirm),
        ("probability of a false alarm of this rollout", chosen(manifest.alpha)),
        ("trial of these models", whole(run.found.rollout.attempt)),
        ("base answers per tuned one", whole(canary.base_per_tuned)),
        ("probes", "yes, with half of the weight" if manifest.probed else "none"),
        ("offtarget", manifest.version),
        ("written", manifest.created),
        ("settings of the gateway", json.dumps(dict(manifest.settings), sort_keys=True)),
    ]
