"""Area under the ROC curve from ranks, and how low it may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

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
    return float(_wins(above, below).sum() / (2 * len(above) * len(below)))


def auroc_at_least(
    positives: Sequence[float] | NDArray[np.float64], negatives: Sequence[float] | NDArray[np.float64], alpha: float
) -> float:
    """A lower bound of the AUROC for new answers to the same questions, wrong with a probability of about alpha.

    Estimate minus normal quantile times standard error. The error is DeLong's (Biometrics 44:837, 1988), which is 0
    where everything is told apart, but at least that of the Mann-Whitney statistic when nothing is:
    (m + n + 1) / (12 m n). So a handful of answers cannot prove anything. ValueError as `auroc`.
    """
    value = auroc(positives, negatives)
    above, below = np.asarray(positives, dtype=float), np.sort(np.asarray(negatives, dtype=float))
    m, n = len(above), len(below)
    shares = (_wins(above, below) / (2 * n), _wins(below, np.sort(above)) / (2 * m))
    delong = sum(float(share.var(ddof=1)) / len(share) for share in shares if len(share) > 1)
    error = math.sqrt(max(delong, (m + n + 1) / (12 * m * n)))
    return max(0.0, value - NormalDist().inv_cdf(1 - alpha) * error)


def _wins(scores: NDArray[np.float64], ranked: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each score, twice the number of the sorted ones below it; a tie counts once."""
    less: NDArray[np.int64] = np.searchsorted(ranked, scores, side="left")
    return less + np.searchsorted(ranked, scores, side="right")
