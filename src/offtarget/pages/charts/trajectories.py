"""Evidence as answers came in: both kinds of it against the tuned answers counted, one panel per way of asking."""

from __future__ import annotations

import math
from collections.abc import Sequence

from offtarget.numbers import e_value, needed_e_value
from offtarget.pages.charts.axes import Axis, Dot, Key, Level, Line, Panel, Tick, exact_axis, level, plainly
from offtarget.pages.check.loading import LoadedRun
from offtarget.records import DecisionSettings, Look
from offtarget.words import NOT_WORSE, WORSE, asked, evidence

MOST_POINTS = 200
FLOOR = -3.0
"""Evidence below 1/1000 is drawn at the floor: how far it sank decides nothing."""
OVERALL = "overall"
LEGEND = (Key("fail", WORSE), Key("pass", NOT_WORSE))


def trajectories(run: LoadedRun) -> tuple[Panel, ...]:
    """One panel per arm with at least one look; everything together first, then in order of appearance."""
    if run.decision is None:
        return ()
    arms = sorted(dict.fromkeys(look.arm for look in run.looks), key=lambda arm: arm != OVERALL)
    settings = run.decision.settings
    return tuple(_panel(arm, [look for look in run.looks if look.arm == arm], settings, "At the end") for arm in arms)


def looked_at(looks: Sequence[Look], settings: DecisionSettings, when: str = "So far") -> Panel:
    """Everything together, as far as a run is that goes on or `when` it is told of; at least one look is at that."""
    return _panel(OVERALL, [look for look in looks if look.arm == OVERALL], settings, when)


def _panel(arm: str, looks: Sequence[Look], settings: DecisionSettings, when: str) -> Panel:
    last = looks[-1]
    bars = [-math.log10(alpha) for alpha in (settings.fail_alpha, settings.alpha)]
    heights = [height(value) for look in looks for value in (look.log_e_fail, look.log_e_pass)]
    x = exact_axis(0.0, float(max(look.tuned_answers for look in looks) or 1), plainly, 5)
    y = powers(max(FLOOR, min(-1.0, *heights)), max(max(bars) + 0.5, *(h + 0.3 for h in heights)))
    name = "Everything together" if arm == OVERALL else _capital(asked(arm))
    harm, none = evidence(last.log_e_fail, settings.fail_alpha), evidence(last.log_e_pass, settings.alpha)
    lines = (
        evidence_line("pass", [(look.tuned_answers, look.log_e_pass) for look in looks], x, y),
        evidence_line("fail", [(look.tuned_answers, look.log_e_fail) for look in looks], x, y),
    )
    return Panel(
        title=name,
        what=f"{when}: {WORSE} {harm}; {NOT_WORSE} {none}.",
        x_name="tuned answers counted",
        x=x,
        y=y,
        lines=lines,
        spoken=(
            f"{name}: after {last.tuned_answers:,} tuned answers {WORSE} {e_value(last.log_e_fail)} "
            f"({needed_e_value(settings.fail_alpha)} needed), {NOT_WORSE} {e_value(last.log_e_pass)} "
            f"({needed_e_value(settings.alpha)} needed)."
        ),
        y_name="evidence, times (log scale)",
        levels=_levels(y, settings.fail_alpha, settings.alpha),
        legend=LEGEND,
    )


def _levels(y: Axis, fail_alpha: float, alpha: float) -> tuple[Level, ...]:
    if math.isclose(fail_alpha, alpha):
        return (level(y, -math.log10(alpha), f"decisive: {needed_e_value(alpha)}"),)
    return (
        level(y, -math.log10(fail_alpha), f"decisive of harm: {needed_e_value(fail_alpha)}"),
        level(y, -math.log10(alpha), f"decisive of no harm: {needed_e_value(alpha)}"),
    )


def powers(low: float, high: float) -> Axis:
    """An axis of exponents of ten, with ticks at whole ones."""
    step = max(1, math.ceil((high - low) / 5))
    whole = [n for n in range(math.ceil(low), math.floor(high) + 1) if n % step == 0]
    ticks = tuple(Tick(round(100 * (n - low) / (high - low), 2), _power(n)) for n in whole)
    return Axis(low, high, ticks)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _power(exponent: int) -> str:
    """`1/100`, `1`, `1,000`, `10^6`: a tick at ten to this power."""
    if exponent < 0:
        return f"1/{10**-exponent:,.0f}"
    return f"{10**exponent:,.0f}" if exponent < 5 else f"10^{exponent}"


def height(log_e: float) -> float:
    """Where evidence is drawn: its exponent of ten, above the floor."""
    value = log_e / math.log(10)
    if math.isnan(value):
        return 0.0
    return min(300.0, max(FLOOR, value))


def evidence_line(kind: str, points: Sequence[tuple[int, float]], x: Axis, y: Axis) -> Line:
    """The line without dots of its own: there are too many looks for them."""
    stride = math.ceil(len(points) / MOST_POINTS)
    kept = [(0, 0.0), *points[:-1][::stride], points[-1]]
    dots = tuple(Dot(x.at(n), round(100 - y.at(height(log_e)), 2), None, None, "") for n, log_e in kept)
    return Line(kind, dots, radius=0)
