"""How fast runs went on this machine, for the estimate of the next one; a cache, which may be deleted."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

from offtarget.asking.cache import cache_root
from offtarget.asking.spending import spent_in
from offtarget.records.plan import Plan
from offtarget.rundir import write_whole

USUAL = {
    "check/organism": 0.12,
    "tune/organism": 1.2,
    "audit": 6e-6,
    "reproduce/organism": 60.0,
}
"""Seconds for one unit of work on two cores, as measured, where nothing ran on this machine yet."""


def with_speed(plan: Plan, usual: str = "") -> Plan:
    """The plan with the time it takes by the last run of its key here, else by what is usual; else without."""
    known = _read().get(plan.key)
    if known is not None:
        return replace(plan, seconds=known * plan.work)
    seconds = USUAL.get(usual)
    return plan if seconds is None else replace(plan, seconds=seconds * plan.work, here=False)


def remember(plan: Plan, run: Path) -> None:
    """Keep how fast a finished run was; of one that stops early the answers it asked for are the work."""
    spent = spent_in(run)
    work = plan.work if spent is None or not plan.stops_early else spent.answers
    if spent is None or work <= 0 or spent.seconds <= 0:
        return
    with contextlib.suppress(Exception):  # an estimate is no reason to fail
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(), json.dumps({**_read(), plan.key: spent.seconds / work}))


def _file() -> Path:
    return cache_root() / "speeds.json"


def _read() -> dict[str, float]:
    try:
        value = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {key: number for key, number in value.items() if isinstance(number, int | float) and number > 0}
