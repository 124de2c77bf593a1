"""The dashboard of a running gateway: what stands, why, what was flagged, and the orders. Works without its script.

The script only loads the page again every few seconds and puts the parts that changed in their places, so there is one
rendering and texts of models never become markup.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from offtarget.numbers import bounds, chosen, duration, e_value, many, percent, whole
from offtarget.pages.card import Card, Exchange, Side
from offtarget.pages.charts.axes import Line, Panel, axis, dot, level, plainly
from offtarget.pages.charts.rates import Measured, Rates, rates
from offtarget.pages.page import environment, template_file
from offtarget.pages.screen import ABSENT
from offtarget.pages.serve.standing import STREAMS, card_of, clock, event_rows, told
from offtarget.records import Tally
from offtarget.records.answers import Interval
from offtarget.records.canary import CanaryArm, CanaryReading, CanaryStreamReading
from offtarget.records.overview import AliasOverview, ArmTraffic, FlaggedText, Overview
from offtarget.records.serve import PathPoint
from offtarget.words import explained

FILES = {
    "page.css": ("page.css", "text/css"),
    "dashboard.css": ("serve/dashboard.css", "text/css"),
    "dashboard.js": ("serve/dashboard.js", "text/javascript"),
}
TERMS = ("misaligned", "evidence", "bounds", "points", "error probability", "judge", "tolerated, allowed")
METRICS = {
    "refusal": "refuses", "gibberish": "makes no sense", "tool-call": "calls tools wrongly",
    "unscored": "cannot be judged",
}  # fmt: skip
"""Besides harm: what an answer does."""
_UNITS = ((1.0, "seconds", 180.0), (60.0, "minutes", 3 * 3600.0), (3600.0, "hours", math.inf))
"""Unit of an axis of time, its name, and the seconds from which on the next is used."""
_LOWEST = -3.0
"""Powers of ten below which evidence is not told apart in the chart."""


class Form(Protocol):
    """What a page needs besides the overview."""

    @property
    def token(self) -> str:
        """Proves that a form came from a page of ours."""
        ...

    @property
    def who(self) -> str:
        """Who ordered last."""
        ...

    @property
    def said(self) -> str:
        """What came of the last order."""
        ...

    @property
    def trouble(self) -> bool:
        """Whether it was refused."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """One alias, ready to be drawn."""

    one: AliasOverview
    card: Card
    panels: tuple[Panel, ...]
    rates: Rates | None
    traffic: tuple[tuple[str, ...], ...]
    metrics: tuple[tuple[str, ...], ...]
    steps: tuple[tuple[str, str], ...]
    """Of the ramp: a share, and `done`, `now` or `next`."""
    health: tuple[tuple[str, str], ...]
    flagged: tuple[Exchange, ...]
    events: tuple[tuple[str, ...], ...]
    suggested: str
    """Share to promote to, in per cent."""


class DashboardPages:
    """The pages for browsers, as the admin plane wants them."""

    def page(self, overview: Overview, form: Form) -> str:
        """How the gateway stands, with the orders; what needs somebody most comes first."""
        order = {"FAIL": 0, "NOT TESTED": 1, "UNDECIDED": 2, "PASS": 3}
        aliases = sorted(overview.aliases, key=lambda one: (len(one.arms) == 1, order[one.standing]))
        return (
            environment()
            .get_template("serve/dashboard.html.j2")
            .render(
                gateway=overview,
                form=form,
                views=[_view(one, overview) for one in aliases],
                as_of=time.strftime("%H:%M:%S", time.localtime(overview.at)),
                words=explained(*TERMS),
            )
        )

    def login(self, said: str) -> str:
        """Asks for the key."""
        return environment().get_template("serve/login.html.j2").render(said=said)

    def file(self, name: str) -> tuple[bytes, str] | None:
        """A style sheet or the script, and its type."""
        if name not in FILES:
            return None
        path, kind = FILES[name]
        return template_file(path).encode(), kind


def _view(one: AliasOverview, gateway: Overview) -> View:
    harm = one.harm
    return View(
        one,
        card_of(one, gateway),
        _panels(one),
        None if harm is None or not harm.tuned.answers else rates("Misaligned answers", _measured(harm)),
        tuple(_traffic(one, arm) for arm in one.arms),
        _metrics(one),
        _ramp(one),
        tuple(_health(one, gateway)),
        tuple(map(_exchange, one.flagged)),
        tuple(event_rows(one.events)),
        f"{100 * _next(one):g}",
    )


def _next(one: AliasOverview) -> float:
    steps = [step.share for step in one.ramp if step.share > one.share]
    return min(steps, default=min(1.0, 2 * one.share))


def _panels(one: AliasOverview) -> tuple[Panel, ...]:
    reading, path = one.reading, one.path
    if reading is None or len(path) < 2:
        return ()
    whole_rollout = _panel(
        path, [point.log_e for point in path], reading.threshold, "Evidence of harm",
        "Over the whole rollout. If the tuned model is not worse it ever comes to the line in at most "
        f"{chosen(one.alpha)} of rollouts.",
    )  # fmt: skip
    late = _panel(
        path, [point.log_change for point in path], reading.change_threshold, "Evidence of a late change",
        f"Without one it comes to the line once in {whole(reading.change_threshold)} tuned answers on average.",
    )  # fmt: skip
    return whole_rollout, late


def _panel(path: Sequence[PathPoint], logs: Sequence[float], threshold: float, title: str, what: str) -> Panel:
    values = [max(_LOWEST, value / math.log(10)) for value in logs]
    needed = math.log10(threshold)
    # Answers count in the order in which they were scored, which need not be that in which they began.
    moments = list(accumulate((point.at for point in path), max))
    lasted = moments[-1] - moments[0]
    unit, name = next((size, name) for size, name, most in _UNITS if lasted < most)
    times = [(at - moments[0]) / unit for at in moments]
    x = axis(0.0, max(times[-1], 1e-3), plainly, 5)
    low = min(-1.0, *values)
    y = axis(low, max([needed * 1.08, *values]), lambda power: e_value(power * math.log(10)), 6)
    line = Line("now", tuple(dot(x, y, at, v, "") for at, v in zip(times, values, strict=True)), 0)
    last = f"{e_value(logs[-1])} after {many(path[-1].tuned, 'tuned answer')}, {e_value(math.log(threshold))} needed"
    spoken = f"{title}, {name} since the first judged answer: {last}."
    limit = (level(y, needed, f"alarm: {e_value(math.log(threshold))}"),)
    return Panel(title, what, f"{name} since the first judged answer", x, y, (line,), spoken, levels=limit)


def _measured(harm: CanaryReading) -> list[Measured]:
    found = [stream for stream in harm.streams if stream.tuned.answers]
    if len(found) < 2:
        return [_scope("All judged answers", "", told(harm))]
    return [
        _scope("All together", "", harm),
        *(_scope(STREAMS.get(stream.name, stream.name), "", stream) for stream in found),
    ]


def _scope(name: str, note: str, found: CanaryReading | CanaryStreamReading) -> Measured:
    return Measured(
        name, note, _tally(found.base), _tally(found.tuned), found.base.rate, found.tuned.rate, found.difference,
        Interval(found.at_least, found.less_than), None,
    )  # fmt: skip


def _tally(arm: CanaryArm) -> Tally:
    flagged = round(arm.flagged)
    return Tally(aligned=arm.answers - flagged, misaligned=flagged)


def _traffic(one: AliasOverview, arm: ArmTraffic) -> tuple[str, ...]:
    share = one.share if arm.arm == "tuned" else 1.0 if one.mode == "shadow" else 1.0 - one.share
    first, whole_answer = (
        ABSENT if median is None else f"{duration(median)} / {duration(p99)}"
        for median, p99 in ((arm.first_median, arm.first_p99), (arm.total_median, arm.total_p99))
    )
    return arm.arm, arm.model, chosen(round(share, 6)), whole(arm.requests), whole(arm.failures), first, whole_answer


def _metrics(one: AliasOverview) -> tuple[tuple[str, ...], ...]:
    if one.reading is None:
        return ()
    return tuple(
        (
            METRICS[each.name],
            f"{percent(each.reading.tuned.rate)} of {whole(each.reading.tuned.answers)}",
            f"{percent(each.reading.base.rate)} of {whole(each.reading.base.answers)}",
            f"{bounds(Interval(told(each.reading).at_least, told(each.reading).less_than))} points",
            f"{chosen(each.tolerance)}",
        )
        for each in one.reading.metrics
        if each.name in METRICS and each.reading.tuned.answers
    )


def _ramp(one: AliasOverview) -> tuple[tuple[str, str], ...]:
    if not one.ramp:
        return ()
    shares = [one.first_share, *(step.share for step in one.ramp)]
    holds = [""] + [_hold(step.hold_seconds, step.hold_answers) for step in one.ramp]
    return tuple(
        (f"{chosen(share)}{hold}", _place(one, n)) for n, (share, hold) in enumerate(zip(shares, holds, strict=True))
    )


def _place(one: AliasOverview, step: int) -> str:
    if one.status == "rolled back":
        return "reached" if step <= one.step else "not reached"
    return "done" if step < one.step else "now" if step == one.step else "next"


def _hold(seconds: float, answers: int) -> str:
    parts = [duration(seconds)] if seconds else []
    parts += [many(answers, "judged answer")] if answers else []
    return f" after {' and '.join(parts)}" if parts else ""


def _health(one: AliasOverview, gateway: Overview) -> Iterable[tuple[str, str]]:
    judge = {
        "none": "none: nothing is tested",
        "asked": one.judge_name,
        "down": "does not answer",
        "drifted": "drifted",
    }
    yield "judge", judge[one.judge]
    age = gateway.monitor_age
    yield "monitor", "never heard" if age is None else f"heard {duration(age)} ago"
    if one.mirrored is not None:
        last = "" if one.mirrored_age is None else f", the last {duration(one.mirrored_age)} ago"
        yield "mirrored answers", f"{whole(one.mirrored)}{last}"
    reading = one.reading
    if reading is not None:
        yield "waiting for a verdict", whole(reading.waiting)
        if unread := sum(reading.unread.values()):
            yield "could not be judged", whole(unread)
    yield "no room at the monitor", many(gateway.dropped, "exchange")
    yield "workers", whole(gateway.workers)
    yield "open requests", whole(gateway.open_requests)
    yield "state", "does not answer" if gateway.store else "answers"


def _exchange(row: FlaggedText) -> Exchange:
    confirmed = {True: ", confirmed by people", False: ", not confirmed by people", None: ""}[row.confirmed]
    place = {"organic": "a user's conversation", "shadow": "a mirrored conversation", "probe": "a fixed question"}
    missing = "The text was not kept, or cannot be read any more."
    side = Side(row.arm, missing if row.answer is None else row.answer, f"{row.outcome.value}{confirmed}")
    where = f"{place[row.source]}, {clock(row.at)}, answer {row.number}"
    return Exchange(row.question if row.question is not None else missing, (side,), where)
