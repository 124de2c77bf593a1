"""The line on the terminal while a model is trained."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.records.tune import Reading

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The last values as bars between their own least and largest."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(_BARS[min(7, int(8 * (v - low) / span))] for v in shown)


def status_line(readings: Sequence[Reading]) -> str:
    """The last reading in one line."""
    last = readings[-1]
    parts = [f"step {last.step}"]
    tasks = [r.task for r in readings if r.task is not None]
    if tasks:
        parts.append(f"task {tasks[-1]:.3f} {sparkline(tasks)}")
    shifts = [r.forecast for r in readings if r.forecast is not None]
    if shifts:
        parts.append(f"forecast {shifts[-1]:+.1f} {sparkline(shifts)}")
    judged = [r.answers for r in readings if r.answers is not None]
    if judged:
        parts.append(f"misaligned {judged[-1].misaligned} of {judged[-1].scored}")
    if last.projection:
        parts.append(f"projection {max(last.projection.values(), key=abs):+.2f}")
    parts.append(f"ALARM ({last.alarm})" if last.alarm else "no alarm")
    return " · ".join(parts)
