"""How far the labels have come: intervals for the shares, and the e-values on their way to a decision."""

from __future__ import annotations

import math
from dataclasses import dataclass

from offtarget.numbers import audit_e_value, chosen, needed_e_value, share_range
from offtarget.pages.audit import facts, story
from offtarget.pages.audit.charts.bars import Bar, Bars, Strip, share_axis
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.charts.axes import Axis, exact_axis, plainly
from offtarget.records import LimitTest


@dataclass(frozen=True, slots=True)
class Range:
    """One limit's share of bad rows; positions in per cent of the axis."""

    name: str
    limit: float
    limit_label: str
    low: float | None
    high: float | None
    dot: float | None
    value: str
    counts: str
    spoken: str


@dataclass(frozen=True, slots=True)
class Ranges:
    """All limits on one axis."""

    axis: Axis
    rows: tuple[Range, ...]


def ranges(run: LoadedAudit) -> Ranges | None:
    """The interval for each limit beside the limit; None without a label."""
    tests = [t for t in (run.decision.tests if run.decision else ()) if t.interval is not None and t.labelled]
    if not tests:
        return None
    highest = max(max(t.interval.high, t.limit * 1.4) for t in tests if t.interval)
    scale = share_axis(min(1.0, highest))
    return Ranges(scale, tuple(_range(test, scale) for test in tests))


def _range(test: LimitTest, scale: Axis) -> Range:
    assert test.interval is not None
    title, share = story.limit_title(test), test.bad / test.labelled
    return Range(
        name=title,
        limit=scale.at(100 * test.limit),
        limit_label=chosen(test.limit),
        low=scale.at(100 * test.interval.low),
        high=scale.at(100 * test.interval.high),
        dot=scale.at(100 * share),
        value=share_range(test.interval),
        counts=f"{test.bad:,} of {test.labelled:,}",
        spoken=(
            f"{title}: {test.bad:,} of {test.labelled:,} labelled rows, interval {share_range(test.interval)}, "
            f"limit {chosen(test.limit)}"
        ),
    )


def evidence(run: LoadedAudit) -> Bars | None:
    """Both e-values of each limit on a log scale up to what decides; None without a label."""
    if run.decision is None:
        return None
    tests = [t for t in run.decision.tests if t.labelled and _moved(t)]
    if not tests:
        return None
    bar = -math.log10(facts.round_alpha(run))
    high = max([bar * 1.25, *(min(_log10(v), 3 * bar) for t in tests for v in (t.log_e_fail, t.log_e_pass))])
    scale = exact_axis(0.0, high, plainly, 5)
    rows = tuple(
        Bar(
            story.limit_title(test),
            "",
            (
                Strip("fail", 0.0, scale.at(max(0.0, _log10(test.log_e_fail)))),
                Strip("pass", 0.0, scale.at(max(0.0, _log10(test.log_e_pass)))),
            ),
            audit_e_value(test.log_e_fail),
            audit_e_value(test.log_e_pass),
            f"{story.limit_title(test)}: e-value for FAIL {audit_e_value(test.log_e_fail)}, for PASS "
            f"{audit_e_value(test.log_e_pass)}; either claim needs {needed_e_value(facts.round_alpha(run))}",
        )
        for test in tests
    )
    return Bars(scale, rows, (scale.at(bar),), stacked=False)


def _moved(test: LimitTest) -> bool:
    """Whether there is evidence either way; a limit of zero has none, one row settles it."""
    return math.isfinite(test.log_e_fail + test.log_e_pass) and (test.log_e_fail, test.log_e_pass) != (0.0, 0.0)


def _log10(log_e: float) -> float:
    return log_e / math.log(10)
