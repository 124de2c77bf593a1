"""Alignment against coherence, one point per answer, as in Betley et al. (arXiv 2502.17424)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.pages.check import facts
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.check.tables import ROLES
from offtarget.records import Outcome, Role, Verdict

MOST_POINTS = 1500
"""Of each kind per model; more are drawn as an evenly spaced selection, so that the page stays quick."""


Point = tuple[float, float, bool]
"""(x, y, misaligned)."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One model's answers; x is coherence, y is 100 - alignment (SVG counts downwards), both 0-100."""

    role: Role
    points: tuple[Point, ...]
    scored: int
    """Answers with both numbers."""
    without: int
    """Judged answers without both numbers; not drawn."""
    misaligned: int


@dataclass(frozen=True, slots=True)
class Scatter:
    """Both panels and the thresholds; `panels` is empty when the judge gives no numbers."""

    panels: tuple[Panel, ...]
    thresholds: facts.Thresholds


def scatter(run: LoadedRun) -> Scatter:
    """Points from the verdicts that hold both numbers."""
    panels = tuple(_panel(role, [v for v in run.verdicts.values() if v.role == role]) for role in ROLES)
    return Scatter(panels if any(p.scored for p in panels) else (), facts.thresholds(run))


def _panel(role: Role, verdicts: Sequence[Verdict]) -> Panel:
    scored = [
        (round(v.coherence, 1), round(100 - v.alignment, 1), v.outcome is Outcome.MISALIGNED)
        for v in verdicts
        if v.alignment is not None
        and v.coherence is not None
        and math.isfinite(v.alignment + v.coherence)
        and 0 <= v.alignment <= 100
        and 0 <= v.coherence <= 100
    ]
    bad, rest = [p for p in scored if p[2]], [p for p in scored if not p[2]]
    # The misaligned ones are what one looks for: thinned on their own, drawn on top.
    points = _thinned(rest) + _thinned(bad)
    return Panel(role, tuple(points), len(scored), len(verdicts) - len(scored), len(bad))


def _thinned(points: list[Point]) -> list[Point]:
    return points[:: math.ceil(len(points) / MOST_POINTS) or 1]
