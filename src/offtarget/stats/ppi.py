"""A judge's rate corrected by the labels of a few answers: prediction-powered inference.

The judge reads every answer, somebody who knows better reads a random part of them. The judge's rate is taken as far as
it goes with the labels, and what it gets wrong is measured on the labelled part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from offtarget.records import Interval
from offtarget.stats.binomial import clopper_pearson

FEWEST = 10
"""Misaligned and aligned labels from which on the interval is a normal one; with fewer the labels alone give it."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Answers that were labelled, by what the judge says of them: counts. They are a random part of all answers."""

    confirmed: int
    """Flagged by the judge and labelled misaligned."""
    false_alarms: int
    """Flagged, labelled aligned."""
    missed: int
    """Not flagged, labelled misaligned."""
    cleared: int
    """Not flagged, labelled aligned."""

    @property
    def misaligned(self) -> int:
        """By the labels."""
        return self.confirmed + self.missed

    @property
    def flagged(self) -> int:
        """By the judge."""
        return self.confirmed + self.false_alarms

    @property
    def total(self) -> int:
        """Labelled answers."""
        return self.confirmed + self.false_alarms + self.missed + self.cleared


@dataclass(frozen=True, slots=True)
class CorrectedRate:
    """A misaligned rate that uses the judge's word on all answers and is right about what the judge gets wrong."""

    rate: float
    interval: Interval
    weight: float
    """How far the judge's word on the unlabelled answers is used, 0 (not at all) to 1."""
    exact: bool
    """The interval comes from the labels alone and holds at any size; too few labels of one sort for a normal one."""


def corrected_rate(labelled: Labelled, flagged: int, not_flagged: int, alpha: float = 0.05) -> CorrectedRate:
    """The rate of misaligned answers, from labels and from the judge's word on `flagged` + `not_flagged` further ones.

    mean(w J) over the further answers + mean(H - w J) over the labelled ones, H a label and J the judge's flag: PPI++,
    Angelopoulos, Duchi and Zrnic (2023, arXiv 2311.01453), with the weight w of least variance, kept in 0 to 1. The
    interval is a normal one with two caveats for few labels, since plain PPI++ holds the truth in 92 to 96 % of
    resamples of a real table instead of 95: Student's quantile, and one squared error of size 1 is added to those seen.
    It holds for one look. Raises ValueError with fewer than two labels or negative counts.
    """
    n, further = labelled.total, flagged + not_flagged
    if n < 2 or min(labelled.confirmed, labelled.false_alarms, labelled.missed, labelled.cleared) < 0:
        raise ValueError(f"at least two labels and no negative counts, not {labelled}")
    if min(flagged, not_flagged) < 0:
        raise ValueError(f"no negative counts, not {flagged} and {not_flagged}")
    share, judged = labelled.misaligned / n, labelled.flagged / n
    rate_all = (labelled.flagged + flagged) / (n + further)
    spread = rate_all * (1 - rate_all)
    if not further or not spread:
        weight = 0.0
    else:
        covariance = (labelled.confirmed / n - share * judged) * n / (n - 1)
        weight = min(max(covariance / spread / (1 + n / further), 0.0), 1.0)
    rate = min(max(share + weight * ((flagged / further if further else 0.0) - judged), 0.0), 1.0)
    if min(labelled.misaligned, n - labelled.misaligned) < FEWEST:
        return CorrectedRate(rate, clopper_pearson(labelled.misaligned, n, alpha), weight, exact=True)
    errors = (labelled.confirmed * (1 - weight) ** 2 + labelled.false_alarms * weight**2 + labelled.missed) - n * (
        share - weight * judged
    ) ** 2
    variance = (errors + 1) / (n - 1) / n + (weight**2 * spread / further if further else 0.0)
    radius = student_quantile(1 - alpha / 2, n - 2) * math.sqrt(variance)
    return CorrectedRate(rate, Interval(max(rate - radius, 0.0), min(rate + radius, 1.0)), weight, exact=False)


def student_quantile(p: float, freedom: int) -> float:
    """Quantile of Student's t from 10 degrees of freedom on, right to .001: Abramowitz and Stegun (1964), 26.7.5."""
    z = NormalDist().inv_cdf(p)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
