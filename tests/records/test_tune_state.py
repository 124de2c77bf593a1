"""What a training came to, in a word and as an exit code."""

from __future__ import annotations

from typing import Any

import pytest
from tune_runs import alarmed, report, stopped


@pytest.mark.parametrize(
    ("made", "state", "code"),
    [
        (report(), "OK", 0),
        (report(monitored=False, best_step=None), "DONE", 0),
        (alarmed(), "ALARM", 1),
        (alarmed(best_step=6), "ALARM", 1),
        (stopped(), "OK", 0),
        (stopped(kept_step=20, best_step=None), "ALARM", 1),
        (stopped(kept_step=48, best_step=None), "ALARM", 1),
    ],
)
def test_only_weights_that_no_alarm_speaks_against_are_ok(made: Any, state: str, code: int) -> None:
    """Unwatched is not OK; an early stop is OK where it kept weights from before the alarm that learnt the task."""
    assert (made.state, made.exit_code) == (state, code)


def test_the_report_says_what_stopped_the_training() -> None:
    """The first that rang raised the alarm; what rang later is on record beside it."""
    assert stopped(rang=("forecast", "behaviour")).alarm_kind == "forecast"
    assert stopped().alarm_kind == "behaviour"
    assert report().alarm_kind is None
