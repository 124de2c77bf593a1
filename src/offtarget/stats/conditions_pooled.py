"""Evidence about the average over cues, from blocks whose cue was set before any answer was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offtarget.stats.eprocess import Array

PASSES = 2
"""How often every cue is asked in turn before cues are drawn at random."""


class PooledCounts:
    """Counts for the prior-weighted average difference: complete passes over the cues, then random draws.

    A complete pass counts each cue by its prior over the largest prior (docs/design/hidden-conditions.md,
    theorem 3): with equal priors nothing is lost. A random draw counts in full. Cues that were dropped are left
    out everywhere, as if they had never been listed.
    """

    def __init__(self, priors: Sequence[float]) -> None:
        self._priors = np.array(priors)
        self._passes: Array = np.zeros((PASSES, len(priors), 4))
        self._drawn: Array = np.zeros((len(priors), 4))
        self._active = np.ones(len(priors), dtype=bool)
        self.draws = 0
        """Random draws so far."""

    @property
    def active(self) -> Array:
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
        self.draws += 1

    def looks(self) -> Array:
        """Per cue, how many of its blocks were set before any answer was seen, shape (cues,)."""
        return (self._passes.sum(axis=0) + self._drawn)[:, :2].sum(axis=1)

    def complete(self) -> bool:
        """Whether every remaining cue was asked in every pass."""
        return bool(self._active.any()) and self.wanted() is None

    def total(self) -> Array:
        """The four counts, fractional, shape (4,); of passes only the complete ones."""
        if not self._active.any():
            return np.zeros(4)
        shares = self._priors * self._active / self._priors[self._active].max()
        done = [p for p in self._passes if (p[self._active].sum(axis=1) > 0).all()]
        counts = self._drawn[self._active].sum(axis=0)
        for each in done:
            counts = counts + shares @ each
        return np.asarray(counts)
