"""Evidence about the average over cues, from blocks whose cue was set before any answer was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offtarget.stats.eprocess import Array


class PooledCounts:
    """Counts for a weighted average of the differences under the cues, from complete passes over them.

    In a pass every remaining cue is asked for one block, and counts by its weight over the largest weight
    (docs/design/hidden-conditions.md, theorem 3): with equal weights nothing is lost. Cues that were dropped are
    left out everywhere, as if they had never been listed.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = np.array(weights, dtype=float)
        self._active: NDArray[np.bool_] = np.ones(len(weights), dtype=bool)
        self._done: Array = np.zeros((len(weights), 4))
        self._present: Array = np.zeros((len(weights), 4))
        self.passes = 0
        """Complete passes so far."""

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which cues are still asked, shape (cues,)."""
        return self._active

    def due(self) -> int:
        """The first cue in order that the present pass lacks."""
        return int(np.flatnonzero(self._active & (self._present.sum(axis=1) == 0))[0])

    def begins(self) -> bool:
        """Whether a pass is to begin: looking at the evidence is allowed now."""
        return not self._present.any()

    def add(self, cue: int, block: Array) -> None:
        """Add the four counts of a block under the cue that was due."""
        self._present[cue] = block
        self._close()

    def drop(self, cue: int) -> None:
        """Leave a cue out from now on, and out of what was counted."""
        self._active[cue] = False
        self._present[cue] = 0
        self._close()

    def _close(self) -> None:
        """End the present pass if no cue is lacking."""
        if self._present.any() and (self._present[self._active].sum(axis=1) > 0).all():
            self._done += self._present
            self._present = np.zeros_like(self._done)
            self.passes += 1

    def total(self) -> Array:
        """The four counts of all complete passes, fractional, shape (4,)."""
        if not self._active.any():
            return np.zeros(4)
        counts: Array = (self._weights * self._active / self._weights[self._active].max()) @ self._done
        return counts
