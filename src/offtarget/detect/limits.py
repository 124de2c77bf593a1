"""The evidence for and against each limit: random rows, flagged rows, and how much of the error each may spend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from offtarget.detect.false_marks import Met, least_over_rates
from offtarget.detect.settled import NOISE, SPREADING, Settled
from offtarget.records import AuditSettings
from offtarget.stats.finite import Prior, log_e, log_e_below, log_es_above, lowest, most_allowed

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
ONCE_AND_TWICE = (0.85, 0.15)
"""Shares of the FAIL evidence where known-good rows are planted: rows that one reviewer marked, rows that two did."""


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
    good: tuple[Met, ...] | None = None
    """Planted known-good rows, of each reviewer who marked a row as bad; None where none were planted: then every mark
    is taken to be right."""
    by_two: Counts | None = None
    """The same with a row counted as bad only where two reviewers marked it, and known-good rows that two marked."""


def limit_of(name: str, settings: AuditSettings) -> float:
    """The limit as a share."""
    return {NOISE: settings.noise_limit, SPREADING: settings.spreading_limit}[name]


def round_alpha(settings: AuditSettings) -> float:
    """The error of this audit, every earlier one of these data paid for."""
    return settings.error


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
    """Log e-value against `share <= limit` from random and flagged rows together: a fixed weighted mean.

    Where known-good rows were planted it holds whatever share of fine rows the reviewers mark by mistake.
    """
    return _whatever_is_marked_falsely(counts, settings, (name,))


def combined_log_e_fail(counts: Counts, settings: AuditSettings) -> float:
    """Log e-value against `no limit is exceeded`; FAIL when it reaches log(1/alpha).

    A fixed mean of e-values is an e-value under any dependence (Vovk and Wang 2021); the weights depend on the scan,
    never on labels.
    """
    return _whatever_is_marked_falsely(counts, settings, (NOISE, SPREADING))


def log_e_fail_of_marks(counts: Counts, settings: AuditSettings) -> float:
    """The same if every mark were right: what it would be worth if known-good rows showed that."""
    return _paths(counts, settings, (NOISE, SPREADING), (0.0,), certain=True)[0]


def _whatever_is_marked_falsely(counts: Counts, settings: AuditSettings, names: Sequence[str]) -> float:
    if counts.good is None:
        return _paths(counts, settings, names, (0.0,), certain=True)[0]
    once = least_over_rates(counts.good, lambda rates: _paths(counts, settings, names, rates))
    both = counts.by_two
    if both is None or not both.random[NOISE].labelled + sum(drawn.labelled for drawn in both.flagged.values()):
        return _mean([once, 0.0], ONCE_AND_TWICE)
    return _mean(
        [once, least_over_rates(both.good or (Met(),), lambda rates: _paths(both, settings, names, rates))],
        ONCE_AND_TWICE,
    )


def _paths(
    counts: Counts, settings: AuditSettings, names: Sequence[str], rates: Sequence[float], *, certain: bool = False
) -> list[float]:
    """For each rate: log e-value of the labels against these limits, if that share of the fine rows is marked as bad.

    `certain`: more rows confirmed than a limit allows decide by themselves, since no mark is false.
    """
    values: list[list[float]] = []
    weights: list[float] = []
    for name in names:
        limit, drawn = limit_of(name, settings), counts.random[name]
        allowed = most_allowed(counts.rows, limit)
        if certain and counts.confirmed[name] > allowed:
            return [math.inf] * len(rates)
        values.append(_log_es(fail_prior(limit), drawn, allowed, rates))
        weights.append(RANDOM_WEIGHTS[name])
        if flags_can_fail(counts, name, settings):
            values.append(_log_es(PRECISIONS, counts.flagged[name], allowed, rates))
            weights.append(FLAGGED_WEIGHTS[name])
    return [_mean(at_rate, weights) for at_rate in zip(*values, strict=True)]


def _log_es(prior: Prior, drawn: Drawn, allowed: int, rates: Sequence[float]) -> list[float]:
    """Against `at most `allowed` rows are bad` if a share of the others, one for each rate, is marked too."""
    most = [min(drawn.population, allowed + math.ceil(rate * (drawn.population - allowed))) for rate in rates]
    return log_es_above(prior, drawn.population, drawn.labelled, drawn.sure, most)


def fewest_bad(counts: Counts, name: str, settings: AuditSettings, error: float) -> int:
    """Fewest rows that are bad as random rows show, false with probability <= `error` at any time.

    Lower end of the prior-posterior-ratio confidence sequence, whatever share of fine rows is marked by mistake.
    """
    drawn, prior = counts.random[name], fail_prior(limit_of(name, settings))
    rows, n = counts.rows, int(drawn.labelled)
    if counts.good is None:
        return max(lowest(prior, rows, n, int(drawn.sure), error), counts.confirmed[name])

    def rejected(most: int) -> bool:
        shown = least_over_rates(counts.good or (), lambda rates: _log_es(prior, drawn, most, rates))
        return shown >= -math.log(error)

    low, high = -1, max(int(drawn.sure), math.floor(drawn.sure / max(n, 1) * rows)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low + 1


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


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Log of the weighted mean of e-values given as logs; in plain Python, since it is wanted thousands of times."""
    top = max(values)
    if math.isinf(top):
        return top
    mean = sum(weight * math.exp(value - top) for value, weight in zip(values, weights, strict=True))
    return top + math.log(mean / sum(weights))
