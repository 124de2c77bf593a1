"""How many rows a review takes: said before it begins, and again after each label."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from offtarget.detect.false_marks import GOOD_PER_BAD, Met
from offtarget.detect.limits import (
    Counts,
    Drawn,
    combined_log_e_fail,
    flags_can_fail,
    limit_of,
    log_e_fail,
    log_e_pass,
    round_alpha,
)
from offtarget.detect.settled import LIMITS, NOISE, SPREADING
from offtarget.records import AuditSettings, ReviewPlan
from offtarget.stats.binomial import lower_share
from offtarget.stats.finite import acceptance_rows

MOSTLY_RIGHT = 9, 10
"""Before a flagged row is labelled, 9 of 10 are taken to be bad; each label shifts that."""
REVIEWABLE = 2_000
"""Flagged rows kept for the review."""


def nothing_labelled(rows: int, flagged: dict[str, int] | None = None) -> Counts:
    """The counts before the first label; `flagged`: rows flagged under each limit."""
    return Counts(
        rows=rows,
        random={name: Drawn(rows) for name in (NOISE, SPREADING)},
        flagged={name: Drawn(size) for name, size in (flagged or {}).items()},
        confirmed=dict.fromkeys(LIMITS, 0),
        cleared=dict.fromkeys(LIMITS, 0),
    )


def review_plan(
    rows: int,
    settings: AuditSettings,
    counts: Counts | None = None,
    *,
    sensitivity: float | None = None,
    decided: bool = False,
) -> ReviewPlan:
    """The plan for `rows` rows, from the labels so far if there are any.

    `sensitivity` is the reviewer's lower bound where the verdict adjusts for it; by default that of one who finds
    every planted row.
    """
    start = nothing_labelled(rows)
    counts = counts or start
    assumed = _all_caught(settings) if settings.adjust_for_sensitivity else None
    error = pass_error(settings)
    floors = [acceptance_rows(rows, limit_of(name, settings) * (assumed or 1), error) for name in (NOISE, SPREADING)]
    clean = [rows_until_pass(start, name, settings, 0.0, assumed) or 0 for name in (NOISE, SPREADING)]
    needed = (NOISE, SPREADING) if settings.certify_spreading else (NOISE,)
    return ReviewPlan(
        clean_rows=max(clean) if settings.certify_spreading else clean[0],
        floor_rows=max(floors) if settings.certify_spreading else floors[0],
        clean_rows_spreading=clean[1],
        rows_to_go=None
        if decided or not rows
        else rows_until_decided(counts, needed, settings, sensitivity or assumed),
        flagged_rows_to_fail=None if decided else flagged_until_fail(counts, settings),
    )


def pass_error(settings: AuditSettings) -> float:
    """The error PASS may spend on rows; half where the other half is spent on the reviewer's sensitivity."""
    return round_alpha(settings) / (2 if settings.adjust_for_sensitivity else 1)


def observed_share(drawn: Drawn) -> float:
    """Share of the labelled random rows that are bad or open; 0 without any."""
    return drawn.possible / drawn.labelled if drawn.labelled else 0.0


def rows_until_pass(
    counts: Counts, name: str, settings: AuditSettings, share: float, sensitivity: float | None = None
) -> int | None:
    """Further random rows until `share <= limit` is shown if `share` of them is bad; None if that never comes."""
    limit = limit_of(name, settings) * (1.0 if sensitivity is None else sensitivity)
    threshold = math.log(1 / pass_error(settings))
    return _first(
        lambda more: log_e_pass(_grown(counts, more, {name: share}, settings), name, settings, limit) >= threshold,
        counts.rows - int(counts.random[name].labelled),
    )


def rows_until_decided(
    counts: Counts, needed: tuple[str, ...], settings: AuditSettings, sensitivity: float | None = None
) -> int:
    """Further random rows until PASS or FAIL, whichever comes first if shares stay as observed.

    A projection for planning, without error probability. Without a bad row so far: if every further row is fine.
    """
    left = counts.rows - int(counts.random[NOISE].labelled)
    shares = {name: observed_share(counts.random[name]) for name in (NOISE, SPREADING)}
    threshold = math.log(1 / round_alpha(settings))
    fail = _first(lambda more: combined_log_e_fail(_grown(counts, more, shares, settings), settings) >= threshold, left)
    passes = [rows_until_pass(counts, name, settings, shares[name], sensitivity) for name in needed]
    known = [n for n in passes if n is not None]
    estimates = [left] + ([fail] if fail is not None else []) + ([max(known)] if len(known) == len(passes) else [])
    return min(estimates)


def rows_until_settled(
    counts: Counts, name: str, settings: AuditSettings, sensitivity: float | None = None
) -> int | None:
    """Further random rows until this one limit is shown kept or exceeded if shares stay as observed."""
    share = observed_share(counts.random[name])
    threshold = -math.log(round_alpha(settings))
    left = counts.rows - int(counts.random[name].labelled)
    fail = _first(
        lambda more: log_e_fail(_grown(counts, more, {name: share}, settings), name, settings) >= threshold, left
    )
    passed = rows_until_pass(counts, name, settings, share, sensitivity)
    return min([n for n in (fail, passed) if n is not None], default=None)


def flagged_until_fail(counts: Counts, settings: AuditSettings) -> int | None:
    """Further flagged rows until FAIL if they are bad as often as those labelled so far (see `MOSTLY_RIGHT`)."""
    threshold = math.log(1 / round_alpha(settings))
    estimates = []
    for name, stratum in counts.flagged.items():
        if not flags_can_fail(counts, name, settings):
            continue
        right = (stratum.sure + MOSTLY_RIGHT[0]) / (stratum.labelled + MOSTLY_RIGHT[1])

        def failing(more: int, name: str = name, stratum: Drawn = stratum, right: float = right) -> bool:
            flagged = {**counts.flagged, name: stratum.grown(more, right)}
            good = _good_by_then(counts, more * right, settings)
            return combined_log_e_fail(replace(counts, flagged=flagged, good=good, by_two=None), settings) >= threshold

        most = min(stratum.population, REVIEWABLE) - int(stratum.labelled)
        if (found := _first(failing, most)) is not None:
            estimates.append(found)
    return min(estimates, default=None)


def _grown(counts: Counts, more: int, shares: dict[str, float], settings: AuditSettings) -> Counts:
    random = {
        name: drawn.grown(more, shares[name]) if name in shares else drawn for name, drawn in counts.random.items()
    }
    good = _good_by_then(counts, more * shares.get(NOISE, max(shares.values())), settings)
    return replace(counts, random=random, good=good, by_two=None)


def _good_by_then(counts: Counts, bad: float, settings: AuditSettings) -> tuple[Met, ...] | None:
    """Known-good rows that reviewers will have met after so many further rows marked as bad."""
    if counts.good is None:
        return None
    return tuple(
        met.grown(max(0.0, min(GOOD_PER_BAD * bad, settings.known_good - met.met))) for met in counts.good or (Met(),)
    )


def _all_caught(settings: AuditSettings) -> float:
    return lower_share(settings.controls, settings.controls, round_alpha(settings) / 2)


def _first(reached: Callable[[int], bool], most: int) -> int | None:
    """Least number of rows from 0 to `most` at which something is reached; None if it is not."""
    if reached(0):
        return 0
    low, high = 0, 1
    while high < most and not reached(high):
        low, high = high, high * 2
    if high >= most:
        high = most
        if most < 1 or not reached(most):
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
