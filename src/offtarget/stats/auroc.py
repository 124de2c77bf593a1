"""Area under the ROC curve from ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def auroc(positives: Sequence[float] | NDArray[np.float64], negatives: Sequence[float] | NDArray[np.float64]) -> float:
    """Probability that a random positive scores above a random negative; ties count half.

    The Mann-Whitney form: Hanley & McNeil, Radiology 143:29 (1982). ValueError without a score on either side or
    with a score that is not a number.
    """
    above, below = np.asarray(positives, dtype=float), np.sort(np.asarray(negatives, dtype=float))
    if not len(above) or not len(below):
        raise ValueError("auroc needs at least one positive and one negative")
    if np.isnan(above).any() or np.isnan(below).any():
        raise ValueError("a score is not a number")
    less = np.searchsorted(below, above, side="left")
    less_or_equal = np.searchsorted(below, above, side="right")
    return float((less + less_or_equal).sum() / (2 * len(above) * len(below)))
