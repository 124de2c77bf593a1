"""How fast runs went on this machine, for the estimate of the next one; a cache, which may be deleted."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

from offtarget.asking.cache import cache_root
from offtarget.asking.spending import before_first, spent_in
from offtarget.records.plan import Plan
from offtarget.records.spent import Spent
from offtarget.records.tune import TuneReport
from offtarget.rundir import read_record, write_whole
from offtarget.workflows.runs.verbs import TUNE

LEAST = 1
"""Units of work from which a speed means something."""
Speed = tuple[float, float]
"""Seconds before the work begins, and for one unit of it."""
USUAL: dict[str, Speed] = {
    "check/organism": (8.0, 0.06),
    "tune/organism": (10.0, 1.2),
    "audit": (2.0, 1e-5),
    "reproduce/organism": (10.0, 60.0),
    "find/organism": (8.0, 0.075),
}
"""On two cores, as measured, where nothing ran on this machine yet."""


def with_speed(plan: Plan, usual: str = "") -> Plan:
    """The plan with the time it takes by the last run of its key here, else by what is usual; else without."""
    known = _read().get(plan.key)
    speed = known or USUAL.get(usual)
    if speed is None:
        return plan
    before, each = speed
    return replace(plan, seconds=before + each * plan.work, here=known is not None)


def known_speed(key: str) -> Speed | None:
    """How fast the last run of that key went here; None where there was none."""
    return _read().get(key)


def remember(plan: Plan, run: Path) -> None:
    """Keep how fast a finished run was; of one that stops early the answers it asked for are the work."""
    spent = spent_in(run)
    if spent is None or spent.seconds <= 0:
        return
    before, work = (before_first(run), spent.answers) if plan.stops_early else (_aside(plan, run, spent), plan.work)
    keep(plan, before, spent.seconds - before, work)


def keep(plan: Plan, before: float, seconds: float, work: float) -> None:
    """Keep that so much work took so long, and how long it was before the work began."""
    keep_speed(plan.key, before, seconds, work)


def keep_speed(key: str, before: float, seconds: float, work: float) -> None:
    """The same by its key."""
    if work < LEAST:
        return
    with contextlib.suppress(Exception):  # an estimate is no reason to fail
        _file().parent.mkdir(parents=True, exist_ok=True)
        speeds = {**_read(), key: (before, seconds / work)}
        write_whole(_file(), json.dumps(speeds))


def _aside(plan: Plan, run: Path, spent: Spent) -> float:
    """Seconds of a training's run that its steps did not take; they are the same for many rows and for few."""
    if plan.verb != "tune":
        return 0.0
    with contextlib.suppress(Exception):  # an estimate is no reason to fail
        trained = read_record(run / TUNE.done, TuneReport, key=TUNE.key).seconds
        return 0.0 if trained is None else max(0.0, spent.seconds - trained)
    return 0.0


def _file() -> Path:
    return cache_root() / "speeds.json"


def _read() -> dict[str, Speed]:
    try:
        value = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    found: dict[str, Speed] = {}
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        for key, (before, each) in value.items():
            found[key] = float(before), float(each)
    return found
