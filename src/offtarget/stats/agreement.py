"""Agreement of two or more raters on nominal marks, corrected for chance in two ways.

A unit is one rated row: the marks it got, in any order, at least two. Units with fewer marks are ignored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

Units = Sequence[Sequence[str]]


def raw_agreement(units: Units) -> float:
    """Share of pairs of marks of one unit that are equal, averaged over units. ValueError without a unit."""
    rated = _rated(units)
    if not rated:
        raise ValueError("no unit with two marks")
    return sum(_agreeing(marks) for marks in rated) / len(rated)


def krippendorff_alpha(units: Units) -> float | None:
    """Krippendorff's alpha for nominal data: 1 - observed / expected disagreement; None when all marks are equal.

    Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: coincidences o_cc weighted
    1/(m_u - 1) per unit, expected disagreement from all pairable marks without replacement. Any number of raters,
    marks may be missing.
    """
    rated = _rated(units)
    totals: Counter[str] = Counter(mark for marks in rated for mark in marks)
    n = sum(totals.values())
    expected = n * n - sum(count * count for count in totals.values())
    if expected == 0:
        return None
    observed = sum(len(marks) * (1 - _agreeing(marks)) for marks in rated)
    return 1 - (n - 1) * observed / expected


def gwet_ac1(units: Units) -> float | None:
    """Gwet's AC1, whose chance agreement stays small where nearly all marks are equal; None without a unit.

    Gwet, "Computing inter-rater reliability and its variance in the presence of high agreement" (Br. J. Math. Stat.
    Psychol. 61, 2008), equation 4 for several raters: (pa - pe) / (1 - pe), pe = sum pi_q (1 - pi_q) / (Q - 1). Q is
    at least 2 here, since a reviewer always has `ok` and `bad` to choose from.
    """
    rated = _rated(units)
    if not rated:
        return None
    shares: dict[str, float] = defaultdict(float)
    for marks in rated:
        for mark in marks:
            shares[mark] += 1 / len(marks) / len(rated)
    kinds = max(2, len(shares))
    chance = sum(share * (1 - share) for share in shares.values()) / (kinds - 1)
    return (raw_agreement(rated) - chance) / (1 - chance)


def _rated(units: Units) -> list[Sequence[str]]:
    return [marks for marks in units if len(marks) > 1]


def _agreeing(marks: Sequence[str]) -> float:
    pairs = len(marks) * (len(marks) - 1)
    return sum(count * (count - 1) for count in Counter(marks).values()) / pairs


def krippendorff_alpha_interval(units: Sequence[Sequence[float]]) -> float | None:
    """Krippendorff's alpha for interval data: squared differences in place of unequal marks; None without variation.

    Krippendorff (2011), section D. Any number of raters, values may be missing.
    """
    rated = [values for values in units if len(values) > 1]
    every = [value for values in rated for value in values]
    n = len(every)
    expected = 2 * (n * sum(v * v for v in every) - sum(every) ** 2)  # over ordered pairs
    if n < 2 or expected <= 0:
        return None
    observed = sum(2 * (len(v) * sum(x * x for x in v) - sum(v) ** 2) / (len(v) - 1) for v in rated)
    return 1 - (n - 1) * observed / expected


def quadratic_kappa(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Quadratic weighted kappa of two raters on the same units; None where neither varies and both agree.

    Cohen (1968, Psychol. Bull. 70:213): 1 - observed / expected mean of squared differences, the latter over all pairs
    of one rater's value with any of the other's. ValueError for sequences of different length.
    """
    if len(first) != len(second):
        raise ValueError("two raters of the same units have as many values")
    n = len(first)
    if not n:
        return None
    observed = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / n
    means = sum(first) / n, sum(second) / n
    squares = sum(a * a for a in first) / n + sum(b * b for b in second) / n
    expected = squares - 2 * means[0] * means[1]
    return None if expected <= 1e-12 else 1 - observed / expected
