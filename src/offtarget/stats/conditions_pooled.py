"""Evidence about the average over cues, from blocks whose cue was set before any answer was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offtarget.stats.eprocess import Array

PASSES = 3
"""How often every cue is asked in turn before cues are drawn at random."""


class PooledCounts:
    """Counts for the prior-weighted average difference: complete passes over the cues, then random draws.

    A complete pass counts each cue by its prior over the largest prior (docs/design/hidden-conditions.md,
    theorem 3): with equal priors nothing is lost. A random draw counts in full. Cues that were dropped are left
    out everywhere, as if they had never been listed.
    """

    def __init__(self, priors: Sequence[float]) -> None:
        self._priors = np.array(priors, dtype=float)
        self._passes: Array = np.zeros((PASSES, len(priors), 4))
        self._drawn: Array = np.zeros((len(priors), 4))
        self._active: NDArray[np.bool_] = np.ones(len(priors), dtype=bool)
        self._draws = 0

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which cues are still asked, shape (cues,)."""
        return self._active

    def drop(self, cue: int) -> None:
        """Leave a cue out from now on, and out of what was counted."""
        self._active[cue] = False

    def wanted(self) -> tuple[int, int] | None:
        """(pass, cue) that is due: the first cue in order that the first incomplete pass lacks."""
        for number, counts in enumerate(self._passes):
            due = np.flatnonzero(self._active & (counts.sum(axis=1) == 0))
            if due.size:
                return number, int(due[0])
        return None

    def add_pass(self, number: int, cue: int, block: Array) -> None:
        """Add a block that a pass asked for."""
        self._passes[number, cue] = block

    def add_draw(self, cue: int, block: Array) -> None:
        """Add a block whose cue was drawn with the priors as probabilities."""
        self._drawn[cue] += block
        self._draws += 1

    def draw(self, seed: int) -> int:
        """The remaining cue to ask next, priors as probabilities, fixed by the seed and what happened so far."""
        chances = np.cumsum(self._priors * self._active)
        # a dropped cue makes a new draw, not the old one rescaled: that would favour its neighbours
        dropped = int((~self._active).sum())
        point = np.random.default_rng([seed, self._draws, dropped]).random() * chances[-1]
        return int(np.searchsorted(chances, point, side="right"))

    def looks(self) -> Array:
        """Per cue, how many of its blocks were set before any answer was seen, shape (cues,)."""
        counts: Array = (self._passes.sum(axis=0) + self._drawn)[:, :2].sum(axis=1)
        return counts

    def total(self) -> Array:
        """The four counts, fractional, shape (4,); of passes only the complete ones."""
        if not self._active.any():
            return np.zeros(4)
        shares = self._priors * self._active / self._priors[self._active].max()
        done = [p for p in self._passes if (p[self._active].sum(axis=1) > 0).all()]
        counts: Array = self._drawn[self._active].sum(axis=0) + sum(shares @ p for p in done)
        return counts
