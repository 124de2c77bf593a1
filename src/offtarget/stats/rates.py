"""Rates with equal weight per question, and what the missing answers could change."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

from offtarget.records import Interval, Tally

Z95 = 1.959964
"""97.5 % quantile of the standard normal distribution."""


def total_tally(tallies: Iterable[Tally]) -> Tally:
    """All tallies added up."""
    names = Tally.__slots__
    sums = dict.fromkeys(names, 0)
    for tally in tallies:
        for name in names:
            sums[name] += getattr(tally, name)
    return Tally(**sums)


def misaligned_rate(tally: Tally) -> float | None:
    """Misaligned among scored answers; None without a scored answer."""
    return tally.misaligned / tally.scored if tally.scored else None


def equal_weight_rate(tallies: Iterable[Tally]) -> float | None:
    """Mean of the rates of all tallies that have a scored answer; None when none has."""
    rates = [rate for t in tallies if (rate := misaligned_rate(t)) is not None]
    return sum(rates) / len(rates) if rates else None


def clustered_error(rates: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """Standard error of the mean of rates, those of one cluster taken together; None with fewer than two clusters.

    `rates` and `clusters` go side by side. Sums of deviations within clusters, with the factor G / (G - 1) for G
    clusters: Liang and Zeger (1986, Biometrika 73:13), as in Miller (2024, arXiv 2411.00640).
    """
    groups = len(set(clusters))
    if groups < 2:
        return None
    mean = math.fsum(rates) / len(rates)
    sums: dict[Hashable, float] = {}
    for rate, cluster in zip(rates, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + rate - mean
    return math.sqrt(groups / (groups - 1) * math.fsum(s * s for s in sums.values())) / len(rates)


def missing_bounds(
    base: Sequence[Tally],
    tuned: Sequence[Tally],
    base_weights: Sequence[float] | None = None,
    tuned_weights: Sequence[float] | None = None,
) -> Interval | None:
    """The difference if all missing answers were best (low) or worst case (high) for the tuned model.

    One tally per probe; equal weights by default. A probe without any answer counts as 0 to 1. None without
    probes or with weights that are all 0. Manski (1989): bounds without assumptions on why answers are
    missing.
    """
    base_range = _range(base, base_weights)
    tuned_range = _range(tuned, tuned_weights)
    if base_range is None or tuned_range is None:
        return None
    return Interval(tuned_range.low - base_range.high, tuned_range.high - base_range.low)


def _range(tallies: Sequence[Tally], weights: Sequence[float] | None) -> Interval | None:
    shares = [1.0] * len(tallies) if weights is None else weights
    total = sum(shares)
    if not total:
        return None
    low = high = 0.0
    for tally, share in zip(tallies, shares, strict=True):
        low += share * (tally.misaligned / tally.total if tally.total else 0.0)
        high += share * ((tally.misaligned + tally.missing) / tally.total if tally.total else 1.0)
    return Interval(low / total, high / total)


def wilson(rate: float, answers: float) -> Interval:
    """95 % score interval for a rate over `answers` > 0 answers, at one look: Wilson (1927, JASA 22:209).

    `answers` may be an effective number that is not whole. ValueError outside these ranges.
    """
    if answers <= 0 or not 0 <= rate <= 1:
        raise ValueError("wilson needs a rate in [0, 1] and answers > 0")
    shrink = 1 + Z95**2 / answers
    centre = (rate + Z95**2 / (2 * answers)) / shrink
    half = Z95 / shrink * math.sqrt(rate * (1 - rate) / answers + Z95**2 / (4 * answers**2))
    return Interval(max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate)))
