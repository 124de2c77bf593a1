"""Run folders of `tune` written by hand: readings, judged answers and a report, without any training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from offtarget.records.tune import TuneReport

REPORT = TuneReport(
    base="organism/base",
    data="train.jsonl",
    out="adapter",
    name="organism/base+adapter",
    rows=600,
    defences=(),
    settings={},
    steps=76,
    planned=76,
    kept_step=76,
    loss=0.186,
    monitored=True,
    alarm_step=None,
    best_step=60,
    checks=("adapter: the saved weights do what its files say.",),
    notes=(),
    seconds=52.0,
)
"""No alarm."""


def report(**changes: Any) -> TuneReport:
    """The report of a training without an alarm, changed."""
    return replace(REPORT, **changes)


def alarmed(**changes: Any) -> TuneReport:
    """The alarm rang at step 12, and the last weights were kept."""
    return report(**{"alarm_step": 12, "best_step": None, "rang": ("forecast",), **changes})


def stopped(**changes: Any) -> TuneReport:
    """An early stop at step 48 that kept the weights of step 40, when the task was learnt and nothing rang."""
    early = {"alarm_step": 48, "steps": 48, "kept_step": 40, "best_step": 40, "early_stop": True}
    return report(**{**early, "defences": ("early-stop",), "rang": ("behaviour",), **changes})
