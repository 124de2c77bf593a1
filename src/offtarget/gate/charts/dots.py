"""Points of line charts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dot:
    """One point; positions in per cent of the panel, y downwards; `low` and `high` are None without an interval."""

    x: float
    y: float
    low: float | None
    high: float | None
    title: str
