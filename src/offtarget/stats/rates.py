"""Rates with equal weight per question, and what the missing answers could change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from offtarget.records import Interval, Tally


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
    rates = [t.misaligned / t.scored for t in tallies if t.scored]
    return sum(rates) / len(rates) if rates else None


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


def rate_interval(misaligned: int, scored: int, alpha: float) -> Interval | None:
    """Exact interval for one rate at one look: Clopper and Pearson (1934). None when scored is 0."""
    if not scored:
        return None
    ways = [math.lgamma(scored + 1) - math.lgamma(i + 1) - math.lgamma(scored - i + 1) for i in range(scored + 1)]
    log_ways, successes = np.array(ways), np.arange(scored + 1)

    def at_least(count: int, rate: float) -> float:
        terms = log_ways + successes * math.log(rate) + (scored - successes) * math.log1p(-rate)
        return float(np.exp(terms[count:]).sum())

    def solve(count: int, target: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if at_least(count, middle) < target else (low, middle)
        return (low + high) / 2

    low = 0.0 if misaligned == 0 else solve(misaligned, alpha / 2)
    high = 1.0 if misaligned == scored else solve(misaligned + 1, 1 - alpha / 2)
    return Interval(low, high)
