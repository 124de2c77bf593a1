"""The evidence for and against each limit: random rows, flagged rows, and how much of the error each may spend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from offtarget.detect.settled import NOISE, SPREADING, Settled
from offtarget.records import AuditSettings
from offtarget.stats.closed import log_mean
from offtarget.stats.finite import Prior, log_e, log_e_above, log_e_below, most_allowed

# Priors found by exact calculation of the mean rows at twelve true shares (benchmarks/audit_statistics.py).
UNIFORM = ((1.0, 1.0), 0.01)
"""Keeps every share alive, so that intervals close in on whatever is true."""
PASS_SHARES = ((0.0, 0.177), (0.08, 0.3714), (0.2, 0.1068), (0.3, 0.264), (0.4, 0.0467), (0.6, 0.0341))
"""(share in units of the limit, weight)."""
FAIL_NEAR = ((1.5, 0.0411), (1.8, 0.0195), (2.1, 0.0933), (2.6, 0.0968), (3.4, 0.2303), (4.6, 0.2259))
"""(share in units of the limit, weight)."""
FAIL_FAR = ((0.32, 0.0125), (0.5, 0.2425), (0.85, 0.0381))
"""(share, weight)."""
PRECISIONS = Prior(((0.3, 0.1), (0.5, 0.15), (0.7, 0.2), (0.85, 0.25), (0.97, 0.2)), (((1.0, 1.0), 0.1),))
"""Share of flagged rows that are bad."""

RANDOM_WEIGHTS = {NOISE: 0.72, SPREADING: 0.08}
"""Shares of the FAIL evidence; what flagged rows cannot use goes to random rows in proportion."""
FLAGGED_WEIGHTS = {NOISE: 0.08, SPREADING: 0.12}


@lru_cache(maxsize=64)
def pass_prior(limit: float) -> Prior:
    """Where a data set that should PASS is expected: below the limit, in proportion to it."""
    return _prior([(min(ratio * limit, 1.0), weight) for ratio, weight in PASS_SHARES])


@lru_cache(maxsize=64)
def fail_prior(limit: float) -> Prior:
    """Where a data set that should FAIL is expected: somewhat above the limit, or far above it."""
    far = [(max(share, limit), weight) for share, weight in FAIL_FAR]
    return _prior([(min(ratio * limit, (1 + limit) / 2), weight) for ratio, weight in FAIL_NEAR] + far)


def _prior(shares: Sequence[tuple[float, float]]) -> Prior:
    scale = (1 - UNIFORM[1]) / sum(weight for _, weight in shares)
    return Prior(tuple((share, weight * scale) for share, weight in shares), (UNIFORM,))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows drawn in random order from a fixed set of rows, and how many count against one limit."""

    population: int
    labelled: float = 0
    sure: float = 0
    """Confirmed."""
    possible: float = 0
    """Confirmed or open (unsure, skipped, disputed)."""

    def grown(self, rows: float, share: float) -> Drawn:
        """This with further rows (at most those there are), a share of them bad; for projections."""
        rows = min(rows, self.population - self.labelled)
        return replace(
            self,
            labelled=self.labelled + rows,
            sure=self.sure + rows * share,
            possible=self.possible + rows * share,
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything the labels say that a verdict needs."""

    rows: int
    random: Mapping[str, Drawn]
    """By limit: `noise`, `spreading`."""
    flagged: Mapping[str, Drawn]
    """By limit: the stratum of rows flagged under a category of that limit."""
    confirmed: dict[str, int]
    """By limit, `backdoor` too: rows confirmed bad in any stream."""
    cleared: Mapping[str, int]
    """By limit: rows certainly not bad in that sense, in any stream."""


def limit_of(name: str, settings: AuditSettings) -> float:
    """The limit as a share."""
    return {NOISE: settings.noise_limit, SPREADING: settings.spreading_limit}[name]


def round_alpha(settings: AuditSettings) -> float:
    """The error of this round: alpha, then half of it with every re-audit."""
    return settings.alpha / float(2 ** (max(settings.round, 1) - 1))


def draw(population: int, order: Sequence[str], rows: Mapping[str, Settled], limit: str) -> Drawn:
    """The labelled prefix of an order; a labelled row behind a gap does not count."""
    labelled = sure = possible = 0
    for row_id in order:
        row = rows.get(row_id)
        if row is None:
            break
        labelled += 1
        sure += limit in row.sure
        possible += limit in row.possible
    return Drawn(population, labelled, sure, possible)


def log_e_fail(counts: Counts, name: str, settings: AuditSettings) -> float:
    """Log e-value against `share <= limit` from random and flagged rows together: a fixed weighted mean."""
    limit = limit_of(name, settings)
    if counts.confirmed[name] > most_allowed(counts.rows, limit):
        return math.inf
    drawn = counts.random[name]
    random = log_e_above(fail_prior(limit), counts.rows, drawn.labelled, drawn.sure, limit)
    if not flags_can_fail(counts, name, settings):
        return random
    weights = (RANDOM_WEIGHTS[name], FLAGGED_WEIGHTS[name])
    return _mean([random, _flagged_log_e(counts, name, limit)], weights)


def combined_log_e_fail(counts: Counts, settings: AuditSettings) -> float:
    """Log e-value against `no limit is exceeded`; FAIL when it reaches log(1/alpha).

    A fixed mean of e-values is an e-value under any dependence (Vovk and Wang 2021); the weights depend on the scan,
    never on labels.
    """
    names = (NOISE, SPREADING)
    weights = [
        RANDOM_WEIGHTS[name] + (FLAGGED_WEIGHTS[name] if flags_can_fail(counts, name, settings) else 0.0)
        for name in names
    ]
    return _mean([log_e_fail(counts, name, settings) for name in names], weights)


def log_e_pass(counts: Counts, name: str, settings: AuditSettings, limit: float | None = None) -> float:
    """Log e-value against `share > limit` from random rows, open rows counted as bad."""
    prior = pass_prior(limit_of(name, settings))
    limit = limit_of(name, settings) if limit is None else limit
    if counts.rows - counts.cleared[name] <= most_allowed(counts.rows, limit):
        return math.inf
    drawn = counts.random[name]
    return log_e_below(prior, counts.rows, drawn.labelled, drawn.possible, limit)


def flags_can_fail(counts: Counts, name: str, settings: AuditSettings) -> bool:
    """Whether there are more flagged rows than the limit allows bad ones."""
    stratum = counts.flagged.get(name)
    return stratum is not None and stratum.population > most_allowed(counts.rows, limit_of(name, settings))


def flags_refuted(counts: Counts, name: str, settings: AuditSettings) -> bool:
    """Whether labels of flagged rows show that no more of them are bad than the limit allows."""
    stratum = counts.flagged[name]
    allowed = most_allowed(counts.rows, limit_of(name, settings))
    prior = pass_prior(min(1.0, allowed / max(stratum.population, 1)))
    e = log_e(prior, stratum.population, stratum.labelled, stratum.possible, allowed + 1, stratum.population)
    return e >= math.log(1 / round_alpha(settings))


def _flagged_log_e(counts: Counts, name: str, limit: float) -> float:
    stratum = counts.flagged[name]
    allowed = most_allowed(counts.rows, limit)
    return log_e(PRECISIONS, stratum.population, stratum.labelled, stratum.sure, 0, allowed)


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    if math.inf in values:
        return math.inf
    total = sum(weights)
    return log_mean(values, [w / total for w in weights])
