"""What the monitor published, for admin planes: read from the store, kept for a moment, never waited for twice."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from offtarget.errors import OfftargetError
from offtarget.records.canary import CanaryReading
from offtarget.records.from_json import from_json
from offtarget.records.serve import PathPoint, RolloutReading
from offtarget.rundir import to_jsonable
from offtarget.serve.store.protocol import Store

SHOWN = 300
"""Points of the path that are published; of a longer one, every second, fourth, ... is kept."""
FRESH = 0.5
"""Seconds that a reading is taken for the newest."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a monitor says of a rollout now."""

    reading: RolloutReading
    path: tuple[PathPoint, ...] = ()
    to_go: int | None = None
    """Further tuned answers until an alarm, about, if 5 % of them are misaligned."""


def put(store: Store, published: Published) -> None:
    """Publish a reading. Raises StoreError."""
    store.put_reading(published.reading.alias, to_jsonable(published))


def read(store: Store, alias: str) -> Published | None:
    """The last reading of an alias; None where there is none, or none of this version. Raises StoreError."""
    found: Mapping[str, Any] | None = store.reading(alias)
    if found is None:
        return None
    try:
        return from_json(Published, found)
    except (TypeError, ValueError):
        return None


def together(reading: RolloutReading) -> CanaryReading | None:
    """The reading of harm, with the evidence of all metrics in place of its own; None where there is none."""
    harm = next((one.reading for one in reading.metrics if one.name == "misaligned"), None)
    if harm is None:
        return None
    alarm = reading.alarm
    return replace(
        harm, alarm=None if alarm is None else alarm.kind, alarm_at=None if alarm is None else alarm.tuned,
        verdict=reading.verdict, log_e_rollout=reading.log_e, rollout_threshold=reading.threshold,
        log_e_change=reading.log_change, change_threshold=reading.change_threshold,
    )  # fmt: skip


class Path:
    """The way of the evidence, thinned so that it never holds more than a few hundred points."""

    def __init__(self, most: int = SHOWN) -> None:
        self._most, self._every, self._seen = most, 1, 0
        self._points: list[PathPoint] = []
        self._last: PathPoint | None = None

    def add(self, points: Sequence[PathPoint]) -> None:
        """Further points, in order."""
        for point in points:
            if self._seen % self._every == 0:
                self._points.append(point)
                if len(self._points) > self._most:
                    self._points = self._points[::2]
                    self._every *= 2
            self._seen += 1
            self._last = point

    @property
    def points(self) -> tuple[PathPoint, ...]:
        """In order; the last one is always there."""
        if self._last is None or self._points[-1] == self._last:
            return tuple(self._points)
        return (*self._points, self._last)


class StoredReadings:
    """What monitors published, for whoever shows it; safe in threads, and never raises."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, Published | None]] = {}

    def published(self, alias: str, rollout: int) -> Published | None:
        """The newest reading on this rollout; what was read last where the store does not answer."""
        with self._lock:
            since, found = self._held.get(alias, (float("-inf"), None))
            if time.monotonic() - since > FRESH:
                with contextlib.suppress(OfftargetError):
                    found = read(self._store, alias)
                self._held[alias] = (time.monotonic(), found)
        return found if found is not None and found.reading.rollout == rollout else None
