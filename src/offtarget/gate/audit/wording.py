"""Numbers of an audit, made fit for people to read; `p_value` is one of them."""

from __future__ import annotations

import math

from offtarget.gate import text
from offtarget.gate.text import NO_DATA, percent
from offtarget.records import Interval
from offtarget.stats.wording import p_value

__all__ = ["e_value", "lift", "many", "p_value", "share_range", "short", "whole"]


def e_value(log_e: float) -> str:
    """An e-value from its natural log, short; `certain` where rows were counted and nothing is left to chance."""
    return "certain" if log_e >= 1000 else text.e_value(log_e)


def lift(value: float) -> str:
    """How many times as frequent: `6.1×`, `93.4×`, `1,204×`."""
    if not math.isfinite(value):
        return NO_DATA
    return f"{value:,.0f}×" if value >= 1000 else f"{value:.3g}×"


def share_range(interval: Interval | None) -> str:
    """An interval for a share: `0.2 % to 4.1 %`; `no data` without one."""
    if interval is None:
        return NO_DATA
    return f"{percent(interval.low)} to {percent(interval.high)}"


def whole(number: float | None) -> str:
    """A count with separators; `no data` for None."""
    return NO_DATA if number is None else f"{number:,.0f}"


def many(number: int, one: str, more: str | None = None) -> str:
    """A count with its noun: `1 row`, `1,200 rows`."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def short(number: float) -> str:
    """A number for an axis or a label: `16`, `4k`, `1M`."""
    if number >= 1 << 20:
        return f"{number / (1 << 20):g}M"
    return f"{number / 1024:g}k" if number >= 1024 else f"{number:g}"
