"""What other programs ask before they send a tuned model more traffic: docs/schema/verdict.schema.json."""

from __future__ import annotations

import math
from typing import Any

from offtarget.records.overview import AliasOverview
from offtarget.version import __version__
from offtarget.words import alarm_errs

SCHEMA = "offtarget/canary-verdict/1"
"""Names this form; another number where a reader of this one would be misled."""


def verdict(overview: AliasOverview) -> dict[str, Any]:
    """The verdict on one alias as plain JSON; numbers that are not known are null."""
    reading, harm = overview.reading, overview.harm
    known = harm is not None and harm.tuned.answers > 0
    return {
        "schema": SCHEMA,
        "version": __version__,
        "alias": overview.alias,
        "rollout": overview.rollout,
        "attempt": overview.attempt,
        "status": overview.standing,
        "why": overview.why,
        "alarm": overview.standing == "FAIL",
        "tested": overview.standing != "NOT TESTED",
        "state": overview.status,
        "share": overview.share,
        "e_value": None if reading is None else _from_log(reading.log_e),
        "threshold": None if reading is None else reading.threshold,
        "late_change": None if reading is None else _from_log(reading.log_change),
        "late_change_threshold": None if reading is None else reading.change_threshold,
        "bounds": {
            "low": harm.at_least if harm is not None and known else None,
            "high": harm.less_than if harm is not None and known else None,
        },
        "rates": {
            "tuned": None if harm is None else harm.tuned.rate,
            "base": None if harm is None else harm.base.rate,
        },
        "answers": {
            "tuned": 0 if harm is None else harm.tuned.answers,
            "base": 0 if harm is None else harm.base.answers,
        },
        "error_probability": overview.alpha,
        "error_probability_means": alarm_errs(overview.alpha),
    }


def http_status(found: dict[str, Any], need: str) -> int:
    """For callers that look at the status alone: 200 go on, 409 an alarm or a rollback, 503 not tested.

    `need`: `no-alarm`; `pass`, without which it is 409 too; or `alarm`, for callers that undo a rollout where they get
    200: then 200 is an alarm or a rollback, and 409 everything else.
    """
    stopped = found["alarm"] or found["state"] == "rolled back"
    if need == "alarm":
        return 200 if stopped else 409
    if stopped:
        return 409
    if not found["tested"]:
        return 503
    return 200 if need != "pass" or found["status"] == "PASS" else 409


def _from_log(log_e: float) -> float:
    """Never infinite, which JSON cannot hold."""
    return math.exp(min(log_e, 700.0))
