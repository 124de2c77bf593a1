"""What item pairs of fixed benchmarks say of tuned against base: each benchmark, then all of them together.

Items are taken as independent draws from all items such as these; both models answer the same ones, so only items on
which their scores differ count. Scores of 0 and 1 are tested exactly (`paired_binary`), other scores in [0, 1] by
betting (`intervals.log_capital`). Three claims are tested of every benchmark: it lost more than nothing, it lost more
than the tolerance, it lost less than the margin. Each kind of claim holds for the whole family at once by Holm (1979,
Scand. J. Statistics 6:65), with an error probability of alpha; benchmarks that were not run count in the family.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from offtarget.errors import InputError
from offtarget.numbers import whole
from offtarget.records import Interval
from offtarget.records.benchmarks import (
    BenchmarkFamily,
    BenchmarkItems,
    BenchmarkResult,
    BenchmarkSettings,
    BenchmarkStanding,
    ItemPair,
)
from offtarget.stats.eprocess import Array
from offtarget.stats.intervals import clustered_interval, log_capital
from offtarget.stats.paired_binary import least_lost, lost_at_most, mcnemar_worse

CHANGED_SHARE = 20
"""One part in so many of a benchmark's error goes into bounding how many items change."""


def decide_benchmarks(measured: Sequence[BenchmarkItems], settings: BenchmarkSettings) -> BenchmarkFamily:
    """All benchmarks of a run, those that were not run included, decided together.

    Raises InputError for two benchmarks of one name, an item that occurs twice in one, and a score that is no number
    from 0 to 1.
    """
    twice = [name for name, count in Counter(items.name for items in measured).items() if count > 1]
    if twice:
        raise InputError(f"Benchmark {twice[0]!r} is named twice. Name each benchmark once.")
    results = [measure_benchmark(items, settings, len(measured)) for items in measured]
    worse = holm([r.p_worse for r in results], settings.alpha)
    flagged = holm([r.p_red_flag for r in results], settings.alpha)
    within = holm([r.p_not_worse for r in results], settings.alpha)
    decided = (
        replace(r, standing=_standing(r, w, i), red_flag=w and f, within_margin=i)
        for r, w, f, i in zip(results, worse, flagged, within, strict=True)
    )
    return BenchmarkFamily(settings, tuple(decided))


def _standing(result: BenchmarkResult, worse: bool, within: bool) -> BenchmarkStanding:
    if result.standing == "not run":
        return "not run"
    return "worse" if worse else "not worse" if within else "undecided"


def holm(values: Sequence[float | None], alpha: float) -> list[bool]:
    """Which hypotheses are rejected, so that any true one is with probability <= alpha: Holm (1979).

    None stands for a hypothesis that was not tested: it is never rejected, and counts among all of them.
    """
    rejected = [False] * len(values)
    tested = sorted((p, i) for i, p in enumerate(values) if p is not None)
    for place, (p, i) in enumerate(tested):
        if not p <= alpha / (len(values) - place):
            break
        rejected[i] = True
    return rejected


def measure_benchmark(items: BenchmarkItems, settings: BenchmarkSettings, family: int = 1) -> BenchmarkResult:
    """One benchmark by itself: counts, means, bounds and p-values; its standing is for `decide_benchmarks`.

    `family`: benchmarks that are decided together; the bounds of all of them hold together.
    """
    found = BenchmarkResult(
        items.name,
        items.metric,
        settings.margin_of(items.name),
        "undecided",
        base_fingerprint=items.base_fingerprint,
        tuned_fingerprint=items.tuned_fingerprint,
        notes=items.notes,
        why_not=items.why_not,
    )
    if items.why_not or not items.pairs:
        return replace(found, standing="not run", why_not=items.why_not or "It has no items.")
    _check(items.name, items.pairs)
    base = np.array([pair.base for pair in items.pairs], dtype=float)
    tuned = np.array([pair.tuned for pair in items.pairs], dtype=float)
    lost = base - tuned
    measured = replace(
        found,
        n=len(lost),
        binary=bool(np.isin(np.concatenate([base, tuned]), (0.0, 1.0)).all()),
        base=float(base.mean()),
        tuned=float(tuned.mean()),
        lost=int((lost > 0).sum()),
        gained=int((lost < 0).sum()),
        difference=float(tuned.mean() - base.mean()),
        log_e=_log_e_lost_less(lost, found.margin),
    )
    alpha = settings.alpha / family
    return _exact(measured, settings, alpha) if measured.binary else _betting(measured, lost, settings, alpha)


def _exact(result: BenchmarkResult, settings: BenchmarkSettings, alpha: float) -> BenchmarkResult:
    lost, gained, n, beta = result.lost, result.gained, result.n, alpha / CHANGED_SHARE
    return replace(
        result,
        p_worse=mcnemar_worse(lost, gained),
        p_red_flag=lost_at_most(lost, gained, n, settings.tolerance, beta),
        p_not_worse=lost_at_most(gained, lost, n, -result.margin, beta),
        bounds=Interval(least_lost(gained, lost, n, alpha, beta), 0.0 - least_lost(lost, gained, n, alpha, beta)),
    )


def _betting(result: BenchmarkResult, lost: Array, settings: BenchmarkSettings, alpha: float) -> BenchmarkResult:
    interval = clustered_interval([float(-value) for value in lost], 2 * alpha)
    return replace(
        result,
        p_worse=_p(log_capital((lost + 1) / 2, 0.5)),
        p_red_flag=_p(log_capital((lost + 1) / 2, (settings.tolerance + 1) / 2)),
        p_not_worse=_p(result.log_e or 0.0),
        bounds=interval or Interval(-1.0, 1.0),
    )


def _log_e_lost_less(lost: Array, margin: float) -> float:
    """Log e-value against `it lost the margin or more`."""
    return log_capital((1 - lost) / 2, (1 - margin) / 2)


def _p(log_e: float) -> float:
    """An e-value is large with a probability of at most one over it (Markov)."""
    return math.exp(-max(0.0, log_e))


def _check(name: str, pairs: Sequence[ItemPair]) -> None:
    twice = [item for item, count in Counter(pair.item for pair in pairs).items() if count > 1]
    if twice:
        raise InputError(
            f"Benchmark {name!r}: item {twice[0]!r} occurs {whole(Counter(p.item for p in pairs)[twice[0]])} times. "
            "Each item must be scored once per model."
        )
    for pair in pairs:
        for whose, value in (("the base", pair.base), ("the tuned model", pair.tuned)):
            if not 0 <= value <= 1:  # NaN too
                raise InputError(
                    f"Benchmark {name!r}: item {pair.item!r} has the score {value} for {whose}. Scores are numbers "
                    "from 0 to 1, more being better."
                )
