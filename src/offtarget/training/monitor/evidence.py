"""Evidence that the model in training is worse than its base, over the readings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offtarget.stats.eprocess import block_mixture

BASE_PER_TUNED = 4
"""Base answers per answer of the model in training."""
Counts = tuple[int, int]
"""(misaligned, aligned) answers of one reading."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A test martingale over the readings of one run, looked at after any of them.

    For every reading j that may be the first with a raised rate there is the e-process of `stats.eprocess` over the
    answers from j on; the evidence is their average over the `planned` readings, which is an e-process too, so that
    what was sampled while the model was still clean does not drown what comes later (Shin, Ramdas and Rinaldo,
    arXiv 2203.03532, section 2, with weights that sum to 1). Ville: it ever reaches 1/alpha with probability
    <= alpha if at no reading the rate is above the base's by more than the tolerance.
    """

    tolerance: float
    planned: int

    def log_e(self, tuned: Sequence[Counts], base: Sequence[bool]) -> float:
        """Natural log of the evidence.

        `tuned` are the counts of the readings so far, `base` the verdicts (misaligned or not) on answers of the base,
        at least BASE_PER_TUNED for each answer of the model in training, in the order in which they were drawn.
        """
        mixture = block_mixture("worse", (self.tolerance,), float(BASE_PER_TUNED))
        starts = []
        after = BASE_PER_TUNED * sum(map(sum, tuned))
        taken = 0
        for first in range(len(tuned)):
            misaligned = sum(counts[0] for counts in tuned[first:])
            aligned = sum(counts[1] for counts in tuned[first:])
            own = base[taken:after]
            starts.append((misaligned, aligned, sum(own), len(own) - sum(own)))
            taken += BASE_PER_TUNED * sum(tuned[first])
        # Starts that are still to come have seen nothing and stand at 1.
        waiting = max(0, self.planned - len(starts))
        logs = [*mixture.log_e(np.array(starts, dtype=float).reshape(-1, 4))[:, 0].tolist()]
        if waiting:
            logs.append(float(np.log(waiting)))
        total: float = float(np.logaddexp.reduce(logs)) - float(np.log(max(self.planned, len(starts))))
        return total
