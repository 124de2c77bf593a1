"""One record per limit: what the labels say about it."""

from __future__ import annotations

import math

from offtarget.detect.limits import (
    Counts,
    combined_log_e_fail,
    fewest_bad,
    limit_of,
    log_e_fail,
    log_e_pass,
    pass_prior,
    round_alpha,
)
from offtarget.detect.plan import pass_error, rows_until_settled
from offtarget.detect.settled import BACKDOOR, NOISE, SPREADING
from offtarget.numbers import CERTAIN
from offtarget.records import AuditSettings, Interval, LimitTest, Status
from offtarget.stats.finite import highest


def has_failed(counts: Counts, settings: AuditSettings) -> bool:
    """Whether the labels show that a limit is exceeded, or a backdoor is confirmed."""
    return counts.confirmed[BACKDOOR] > 0 or combined_log_e_fail(counts, settings) >= -math.log(round_alpha(settings))


def has_passed(counts: Counts, name: str, settings: AuditSettings, sensitivity: float | None) -> bool:
    """Whether random rows show that this limit is kept; `sensitivity` lowers the limit for what the reviewer misses.

    With sensitivity s, share found <= s * limit shows share <= limit. The threshold may move with the planted rows:
    one prior serves all limits, so the claims hold for all of them at once.
    """
    limit = limit_of(name, settings) * (1.0 if sensitivity is None else sensitivity)
    return log_e_pass(counts, name, settings, limit) >= -math.log(pass_error(settings))


def limit_tests(counts: Counts, settings: AuditSettings, sensitivity: float | None) -> tuple[LimitTest, ...]:
    """Noise, spreading and backdoor. A limit fails only in a failed audit (closed testing of two limits)."""
    failed = combined_log_e_fail(counts, settings) >= -math.log(round_alpha(settings))
    tests = tuple(_test(counts, name, settings, sensitivity, failed) for name in (NOISE, SPREADING))
    return (*tests, _backdoor(counts))


def _test(counts: Counts, name: str, settings: AuditSettings, sensitivity: float | None, failed: bool) -> LimitTest:
    drawn = counts.random[name]
    e_fail = log_e_fail(counts, name, settings)
    status = Status.UNDECIDED
    if failed and e_fail >= -math.log(round_alpha(settings)):
        status = Status.FAIL
    elif counts.rows and has_passed(counts, name, settings, sensitivity):
        status = Status.PASS
    to_go = None if status is not Status.UNDECIDED else rows_until_settled(counts, name, settings, sensitivity)
    return LimitTest(
        name=name,
        limit=limit_of(name, settings),
        labelled=int(drawn.labelled),
        bad=int(drawn.sure),
        interval=interval(counts, name, settings),
        log_e_fail=min(e_fail, CERTAIN),
        log_e_pass=min(log_e_pass(counts, name, settings), CERTAIN),
        status=status,
        rows_to_go=to_go,
    )


def interval(counts: Counts, name: str, settings: AuditSettings) -> Interval | None:
    """Anytime-valid interval for the share in the whole set, alpha/2 at each end; None without labels.

    Open rows count as fine for the lower end and as bad for the upper one, and the lower end allows for fine rows that
    are marked by mistake; what is known of rows outside the random stream narrows it for certain.
    """
    drawn, rows = counts.random[name], counts.rows
    if not drawn.labelled:
        return None
    n, half = int(drawn.labelled), round_alpha(settings) / 2
    limit = limit_of(name, settings)
    low = fewest_bad(counts, name, settings, half)
    high = min(highest(pass_prior(limit), rows, n, int(drawn.possible), half), rows - counts.cleared[name])
    return Interval(low / rows, max(low, high) / rows)


def bound_shown(counts: Counts, name: str, settings: AuditSettings) -> float:
    """Share that random rows show not to be exceeded, with the error of a PASS."""
    drawn, rows = counts.random[name], counts.rows
    prior = pass_prior(limit_of(name, settings))
    high = highest(prior, rows, int(drawn.labelled), int(drawn.possible), pass_error(settings))
    return min(high, rows - counts.cleared[name]) / rows


def _backdoor(counts: Counts) -> LimitTest:
    confirmed = counts.confirmed[BACKDOOR]
    return LimitTest(
        name=BACKDOOR,
        limit=0.0,
        labelled=int(counts.random[NOISE].labelled),
        bad=confirmed,
        interval=None,
        log_e_fail=CERTAIN if confirmed else 0.0,
        log_e_pass=0.0,
        status=Status.FAIL if confirmed else Status.UNDECIDED,
        rows_to_go=None,
    )
