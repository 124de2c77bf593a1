"""Puts together how a gateway stands: from the switch in force, the store, what workers counted, and the evidence.

The store may not answer. What it said last is shown then, beside a sentence that it is old; the share always is what
the workers read at this moment.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from offtarget.errors import InputError, OfftargetError
from offtarget.records.answers import Role
from offtarget.records.gateway import Alias, GatewaySettings
from offtarget.records.overview import (
    AliasOverview,
    ArmTraffic,
    FlaggedText,
    JudgeState,
    Overview,
    Standing,
)
from offtarget.records.rollouts import CanaryEvent, Rollout, ScoredAnswer
from offtarget.records.serve import RolloutReading
from offtarget.serve.admin.totals import CounterSource
from offtarget.serve.counters import (
    BROKEN,
    DURATION,
    EXCHANGES,
    FALLBACKS,
    FIRST_TOKEN,
    OPEN,
    REQUESTS,
    Key,
    Metric,
)
from offtarget.serve.monitor.intake import texts_of
from offtarget.serve.monitor.readings import Published
from offtarget.serve.store.protocol import Count, Store
from offtarget.serve.switchboard import Switchboard
from offtarget.stats.several import spent_alpha
from offtarget.version import __version__

MONITOR = "monitor"
"""What the monitor's beats are called in the store."""
MONITOR_SECONDS = 30.0
"""A monitor that was silent for longer is gone: nothing it said before counts as watching."""
MIRRORED = "mirrored"
"""What copies of requests in shadow mode are counted as in the store."""
EVENTS = 30
FLAGGED = 8
"""How many are shown, of each alias."""
_LOG = logging.getLogger("offtarget.serve")


class ReadingSource(Protocol):
    """Where the evidence is read, such as `monitor.readings.StoredReadings`. Returns soon and never raises."""

    def published(self, alias: str, rollout: int) -> Published | None:
        """What the monitor says of a rollout; None where it said nothing yet."""
        ...


class NoReadings:
    """Nothing is judged."""

    def published(self, alias: str, rollout: int) -> Published | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store said of one alias."""

    rollout: Rollout | None
    events: tuple[CanaryEvent, ...]
    flagged: tuple[FlaggedText, ...]
    read: tuple[bool, ...]
    """What people said of flagged answers."""
    counts: Mapping[str, Count]


class Overviews:
    """Makes overviews of one gateway. Safe in threads."""

    def __init__(
        self,
        settings: Callable[[], GatewaySettings],
        switchboard: Switchboard,
        store: Store,
        counters: CounterSource,
        readings: ReadingSource,
        *,
        url: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        """`url`: where clients ask."""
        self._settings, self._switchboard, self._store = settings, switchboard, store
        self._counters, self._readings = counters, readings
        self._url, self._now = url, now
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._bodies: dict[int, tuple[str | None, str | None]] = {}
        self._monitor: tuple[float, float] | None = None
        """Age of the last beat, and the monotonic time when that was so."""

    def overview(self) -> Overview:
        """How it stands now; never raises for a store that does not answer."""
        settings, trouble = self._settings(), ""
        for alias in settings.aliases:
            try:
                with self._lock:
                    self._known[alias.name] = self._ask_store(alias)
            except OfftargetError as error:
                trouble = str(error)
                break
        try:
            if not trouble:
                age = self._store.age(MONITOR)
                self._monitor = None if age is None else (age, time.monotonic())
        except OfftargetError as error:
            trouble = str(error)
        numbers, histograms = self._counters.numbers(), self._counters.histograms()
        return Overview(
            at=self._now(),
            version=__version__,
            url=self._url,
            workers=self._counters.processes(),
            open_requests=int(total(numbers, OPEN)),
            monitor_age=self._monitor_age(),
            dropped=int(total(numbers, EXCHANGES, taken="no")),
            store=trouble,
            aliases=tuple(self._alias(alias, numbers, histograms) for alias in settings.aliases),
        )

    def _monitor_age(self) -> float | None:
        if self._monitor is None:
            return None
        age, since = self._monitor
        return age + time.monotonic() - since

    def _ask_store(self, alias: Alias) -> _Known:
        rollout = self._store.rollout(alias.name)
        number = 0 if rollout is None else rollout.number
        flagged = self._store.flagged(alias.name, number)
        return _Known(
            rollout,
            self._store.newest_events(EVENTS, alias.name),
            tuple(map(self._flagged, flagged[:FLAGGED])),
            tuple(row.confirmed for row in flagged if row.confirmed is not None),
            self._store.counts(alias.name, number),
        )

    def _flagged(self, row: ScoredAnswer) -> FlaggedText:
        if row.number not in self._bodies:
            self._bodies[row.number] = self._texts(row)
            for old in list(self._bodies)[: -20 * FLAGGED]:
                del self._bodies[old]
        question, answer = self._bodies[row.number]
        return FlaggedText(
            row.number, row.at, row.arm, row.source, row.outcome, row.exchange, question, answer, row.confirmed
        )

    def _texts(self, row: ScoredAnswer) -> tuple[str | None, str | None]:
        try:
            kept = self._store.bodies(row.exchange)
        except InputError:  # encrypted with another key
            return None, None
        return (None, None) if kept is None else texts_of(kept)

    def _alias(
        self, alias: Alias, numbers: Mapping[Key, float], histograms: Mapping[Key, list[float]]
    ) -> AliasOverview:
        known = self._known.get(alias.name, _Known(None, (), (), (), {}))
        rollout = known.rollout or Rollout(alias.name, 0, "running", 0.0)
        switch, kill = self._switchboard.in_force(alias.name), self._switchboard.kills().get(alias.name)
        rolled_back = kill is not None or rollout.status == "rolled back"
        published = self._readings.published(alias.name, rollout.number)
        reading = None if published is None else published.reading
        judge, judge_why = judge_state(alias, reading)
        standing, why = standing_of(
            alias, rollout, reading, judge, self._monitor_age(), known.events, rolled_back=rolled_back
        )
        mirrored = known.counts.get(MIRRORED)
        return AliasOverview(
            alias=alias.name,
            mode=alias.canary.mode,
            on_alarm=alias.canary.on_alarm,
            rollout=rollout.number,
            status="rolled back" if rolled_back else rollout.status,
            share=switch.share,
            since=kill.at if kill is not None else rollout.since,
            reason=kill.why if kill is not None else rollout.reason,
            attempt=rollout.attempt,
            alpha=spent_alpha(alias.canary.alpha, rollout.attempt),
            first_share=alias.canary.share,
            ramp=alias.canary.ramp,
            step=rollout.step,
            standing=standing,
            why=why,
            judge=judge,
            judge_name=alias.canary.judge,
            judge_why=judge_why,
            recorded=kill is None,
            arms=tuple(_traffic(alias, arm, numbers, histograms) for arm in _arms(alias)),
            reading=reading,
            path=() if published is None else published.path,
            to_go=None if published is None or rolled_back else published.to_go,
            mirrored=None if alias.canary.mode != "shadow" else 0 if mirrored is None else mirrored.value,
            mirrored_age=None if mirrored is None else mirrored.age,
            flagged=known.flagged,
            read=len(known.read),
            read_misaligned=sum(known.read),
            events=known.events,
        )


def judge_state(alias: Alias, reading: RolloutReading | None) -> tuple[JudgeState, str]:
    """How the judge of an alias does, and a sentence where it does not do well."""
    if not alias.canary.judge or (reading is not None and not reading.judged):
        return "none", ""
    if reading is not None and reading.judge_down:
        return "down", f"The judge gives no verdicts ({reading.judge_down})."
    if reading is not None and reading.judge_drift:
        return "drifted", reading.judge_drift
    return "asked", ""


def standing_of(
    alias: Alias,
    rollout: Rollout,
    reading: RolloutReading | None,
    judge: JudgeState,
    monitor_age: float | None,
    events: Sequence[CanaryEvent],
    *,
    rolled_back: bool,
) -> tuple[Standing, str]:
    """What may be concluded about the tuned model now, and the sentence that says why.

    An alarm stays an alarm whatever became of the judge afterwards; all else needs somebody who judges and watches.
    """
    alarm = next((event for event in events if event.kind == "alarm" and event.rollout == rollout.number), None)
    if reading is not None and reading.alarm is not None and reading.confirmed:
        return "FAIL", f"{reading.why} {reading.confirmed}"
    if reading is not None and reading.alarm is not None:
        return "FAIL", alarm.why if alarm is not None else _alarm(reading)
    if alarm is not None:
        return "FAIL", alarm.why
    if alias.tuned is None:
        return "NOT TESTED", "Only a base stands behind this name."
    if judge == "none":
        return "NOT TESTED", "No judge is set, so nothing is known about the answers of the tuned model."
    if monitor_age is None or monitor_age > MONITOR_SECONDS:
        return "NOT TESTED", "The monitor does not answer, so nothing is being judged."
    if judge == "down":
        return "NOT TESTED", "The judge does not answer, so nothing is being judged."
    if judge == "drifted" and reading is not None:
        return "NOT TESTED", reading.judge_drift
    if reading is not None and reading.mirror_silent:
        return "NOT TESTED", reading.mirror_silent
    if reading is None or not any(one.reading.tuned.answers for one in reading.metrics if one.name == "misaligned"):
        if reading is not None and any(one.reading.tuned.answers for one in reading.metrics):
            return "NOT TESTED", "The judge could call no answer of the tuned model aligned or misaligned so far."
        return "NOT TESTED", "No answer of the tuned model is in the evidence yet."
    if reading.verdict == "not worse":
        return "PASS", "The tuned model is shown not to be worse than its base by more than is allowed."
    if rolled_back:
        return "UNDECIDED", "It was rolled back before the evidence said anything."
    return "UNDECIDED", "Nothing so far says that the tuned model is worse than its base."


def _alarm(reading: RolloutReading) -> str:
    if reading.alarm is not None and reading.alarm.kind == "late change":
        return "The tuned model became worse than its base after a time without a difference."
    return "The tuned model is worse than its base."


def _arms(alias: Alias) -> tuple[Role, ...]:
    return ("base",) if alias.tuned is None else ("tuned", "base")


def _traffic(
    alias: Alias, arm: Role, numbers: Mapping[Key, float], histograms: Mapping[Key, list[float]]
) -> ArmTraffic:
    failures = total(numbers, BROKEN, alias=alias.name, arm=arm)
    if arm == "tuned":
        failures += total(numbers, FALLBACKS, alias=alias.name)
    first = histograms.get((FIRST_TOKEN.name, alias.name, arm))
    whole = histograms.get((DURATION.name, alias.name, arm))
    longest = alias.upstream(arm).timeouts.total
    return ArmTraffic(
        arm,
        alias.upstream(arm).model,
        int(total(numbers, REQUESTS, alias=alias.name, arm=arm)),
        int(failures),
        quantile(FIRST_TOKEN, first, 0.5, longest),
        quantile(FIRST_TOKEN, first, 0.99, longest),
        quantile(DURATION, whole, 0.5, longest),
        quantile(DURATION, whole, 0.99, longest),
    )


def total(numbers: Mapping[Key, float], metric: Metric, **labels: str) -> float:
    """The sum of a metric over all its labels but those that are given."""
    wanted = [(1 + metric.labels.index(name), value) for name, value in labels.items()]
    return sum(value for key, value in numbers.items() if key[0] == metric.name and all(key[i] == v for i, v in wanted))


def quantile(metric: Metric, row: Sequence[float] | None, share: float, longest: float) -> float | None:
    """The upper end of the bucket that holds a quantile, so that the true one is at most this; None without values.

    `longest`: what nothing can exceed, for the bucket that has no end.
    """
    if row is None or not (count := sum(row[:-1])):
        return None
    below = 0.0
    for end, here in zip((*metric.buckets, longest), row[:-1], strict=True):
        below += here
        if below >= share * count:
            return end
    return longest
