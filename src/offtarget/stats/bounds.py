"""One-sided bounds on a difference of rates that hold at all looks together, and only ever tighten.

Such a bound and the verdict of the same side are one thing: tuned passes a margin when the upper bound has come down to
it, and fails a tolerance when the lower bound has come up to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from offtarget.records import DecisionSettings
from offtarget.stats.eprocess import BlockMixture

# Fine where verdicts are made, coarse where nobody needs a digit.
DIFFERENCES = np.unique(
    np.round(
        np.concatenate(
            [np.arange(-0.1, 0.1001, 0.0025), np.arange(-0.5, 0.501, 0.01), np.arange(-0.975, 0.976, 0.025)]
        ),
        6,
    )
)
"""Nulls that are tested; bounds are among them, rounded outwards."""


def grid(settings: DecisionSettings) -> tuple[float, ...]:
    """The nulls of a running test: those that every test has, with its tolerance and margins among them."""
    own = (settings.tolerance, settings.margin, settings.pooled_margin)
    return tuple(sorted({*DIFFERENCES.tolist(), *own}))


class RunningBound:
    """Rejects the nulls of a grid one after the other, the widest claim first, and never takes one back.

    From the side `worse` a lower bound, from `better` an upper one. It is wrong only if the process against the last
    null before the true difference ever reaches the threshold, since nulls are rejected in order: probability
    <= exp(-threshold), over all looks together (Ville). docs/design/decisions.md, theorem 7.
    """

    def __init__(self, mixture: BlockMixture, threshold: float, done: int = 0) -> None:
        """`done`: nulls that were rejected before, as `done` said then."""
        upwards = [int(i) for i in np.flatnonzero(mixture.testable)]
        self._lower = mixture.side == "worse"
        self._order = upwards if self._lower else upwards[::-1]
        self._differences, self._threshold = mixture.differences, threshold
        self._done = done

    def update(self, evidence: Callable[[int], float]) -> None:
        """Go on as far as the evidence reaches now. `evidence`: position in the grid -> log e-value."""
        while self._done < len(self._order) and evidence(self._order[self._done]) >= self._threshold:
            self._done += 1

    @property
    def done(self) -> int:
        """How many nulls are rejected; with it the bound goes on elsewhere."""
        return self._done

    @property
    def value(self) -> float:
        """The bound; -1 or 1 where nothing is shown."""
        if not self._done:
            return -1.0 if self._lower else 1.0
        return float(self._differences[self._order[self._done - 1]])

    def reaches(self, limit: float) -> bool:
        """Whether the null at this difference is rejected."""
        return self.value >= limit if self._lower else self.value <= limit


def furthest(differences: Sequence[float], start: int, step: int, rejected: Callable[[int], bool]) -> float | None:
    """The last difference that is rejected going from `start` by `step`, as a bound at one look; None without any."""
    found = None
    while 0 <= start < len(differences) and rejected(start):
        found, start = float(differences[start]), start + step
    return found
