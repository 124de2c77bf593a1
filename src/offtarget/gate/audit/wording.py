"""Numbers of an audit, made fit for people to read."""

from __future__ import annotations

import math

from offtarget.gate import text
from offtarget.gate.text import NO_DATA, percent
from offtarget.records import Interval


def p_value(value: float) -> str:
    """A p-value, short: `0.03`, `1e-9`, `<1e-99`."""
    if not math.isfinite(value):
        return NO_DATA
    if value < 1e-99:
        return "<1e-99"
    if value < 0.001:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{min(value, 1.0):.2g}"


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
