"""Evidence over time: log10 of both e-processes against tuned answers, one panel per arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.numbers import e_value, needed_e_value
from offtarget.pages.charts.axes import Axis, exact_axis, plainly
from offtarget.pages.check import facts
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.text import one_line
from offtarget.records import Look

MOST_POINTS = 300
FLOOR = -3.0
"""Evidence below 10^-3 is drawn at the floor: how far it sank decides nothing."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One arm's two lines; positions in per cent of the panel, y downwards."""

    arm: str
    x: Axis
    y: Axis
    fail_line: str
    """SVG `points` of log10 e against `not worse by more than the tolerance`."""
    pass_line: str
    bar: float
    """y of 1/alpha."""
    spoken: str
    e_fail: str
    e_pass: str
    answers: int


def trajectories(run: LoadedRun) -> tuple[Panel, ...]:
    """One panel per arm with at least one look; `overall` first, then in order of appearance."""
    alpha = facts.alpha(run)
    arms = dict.fromkeys(look.arm for look in run.looks)
    ordered = sorted(arms, key=lambda arm: arm != "overall")
    return tuple(_panel(arm, [look for look in run.looks if look.arm == arm], alpha) for arm in ordered)


def _panel(arm: str, looks: Sequence[Look], alpha: float) -> Panel:
    bar = -math.log10(alpha)
    heights = [_height(value) for look in looks for value in (look.log_e_fail, look.log_e_pass)]
    last = looks[-1]
    x = exact_axis(0.0, float(max(look.tuned_answers for look in looks) or 1), plainly, 5)
    y = exact_axis(max(FLOOR, min(-1.0, *heights)), max(bar + 0.5, *(h + 0.3 for h in heights)), plainly, 6)
    e_fail, e_pass = e_value(last.log_e_fail), e_value(last.log_e_pass)
    return Panel(
        arm=one_line(arm, 60),
        x=x,
        y=y,
        fail_line=_line([(look.tuned_answers, look.log_e_fail) for look in looks], x, y),
        pass_line=_line([(look.tuned_answers, look.log_e_pass) for look in looks], x, y),
        bar=100 - y.at(bar),
        spoken=(
            f"{one_line(arm, 60)}: after {last.tuned_answers:,} tuned answers the e-value for FAIL is {e_fail}, "
            f"for PASS {e_pass}; either claim needs {needed_e_value(alpha)}."
        ),
        e_fail=e_fail,
        e_pass=e_pass,
        answers=last.tuned_answers,
    )


def _height(log_e: float) -> float:
    value = log_e / math.log(10)
    if math.isnan(value):
        return 0.0
    return min(300.0, max(FLOOR, value))


def _line(points: Sequence[tuple[int, float]], x: Axis, y: Axis) -> str:
    stride = math.ceil(len(points) / MOST_POINTS)
    kept = [*points[:-1][::stride], points[-1]]
    return " ".join(f"{x.at(n):g},{100 - y.at(_height(log_e)):g}" for n, log_e in [(0, 0.0), *kept])
