"""The monitor of one alias: scores what arrives, writes it down, folds it, and acts where the evidence says so.

Only the holder of the lease acts; every other replica scores its own traffic into the same table. Where the store does
not answer, rows wait (bounded), nothing is decided, and nothing is taken for fine.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import Alias, StateSettings
from offtarget.records.rollouts import Rollout
from offtarget.records.serve import RolloutReading
from offtarget.serve.monitor.actions import Actions
from offtarget.serve.monitor.anchors import Anchors
from offtarget.serve.monitor.evidence import Evidence
from offtarget.serve.monitor.hearing import Hearing
from offtarget.serve.monitor.inbox import Inbox
from offtarget.serve.monitor.intake import Redact
from offtarget.serve.monitor.mirror import Mirror, arriving_share
from offtarget.serve.monitor.probing import Probing
from offtarget.serve.monitor.readings import Path, Published, put
from offtarget.serve.monitor.scoring import MonitorParts, Scored, Scoring, kept_under
from offtarget.serve.store.protocol import Lease, Store
from offtarget.serve.switchboard import switch_of

_LOG = logging.getLogger("offtarget.serve")
ROWS_WAITING = 2000
"""Scored answers that wait for a store that does not answer; from then on none is begun."""
AT_ONCE = 200
"""Rows of one transaction."""
PAGE = 1000
TO_GO_RATE = 0.05
"""Misaligned answers for which it is told how long they would go unnoticed."""
KEEP_SECONDS = 30.0
"""Between two times at which the state of the anchors is kept."""
ROUTED = frozenset({"share", "fallback", "open-circuit", "shadow"})
"""Reasons of exchanges from which it can be told whether the share arrives."""


class AliasWatch:
    """What the monitor does for one alias. One thread calls it."""

    def __init__(
        self, alias: Alias, parts: MonitorParts, store: Store, state: StateSettings, actions: Actions, *,
        redact: Redact = str, salt: str = "", seconds: float = 60.0, pause: float = 2.0,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.alias, self._parts, self._store, self._state = alias, parts, store, state
        self._clock, self._now = clock, now
        self.inbox = Inbox()
        self.scoring = Scoring(alias.canary, parts, salt=salt, redact=redact, seconds=seconds, pause=pause, clock=clock)
        self._actions = actions
        self._probing = Probing(alias, parts.probes, clock=clock, now=now)
        self._hearing: Hearing | None = None
        self.behind = False
        """Whether rows in the store are not in the evidence yet."""
        self._anchors = self._anchors_from(None)
        self._anchors_kept = 0.0
        self._told_drift = False
        self._rows: deque[Scored] = deque()
        self.rollout: Rollout | None = None
        self.evidence: Evidence | None = None
        self._path = Path()
        self._mirror = Mirror()
        self._mirrored = 0
        self._published: RolloutReading | None = None
        self._was_down = False
        self.counts: dict[str, int] = dict.fromkeys(("written", "bodies"), 0)

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return not len(self.inbox) and self.scoring.idle and not self._rows

    def put(self, exchange: Exchange) -> bool:
        """Take an exchange; called in the listener's thread, and never waits."""
        return self.inbox.put(exchange)

    def score(self) -> None:
        """Begin what there is room for, and keep what has its verdict."""
        while not self.scoring.full and len(self._rows) < ROWS_WAITING:
            exchange = self.inbox.take()
            if exchange is None:
                break
            self._saw(exchange)
            self.scoring.start(exchange)
        if not self.scoring.full:
            self._anchors.ask(lambda pair, heard: self.scoring.ask_beside(pair, heard, self._anchors.failed))
        self._rows.extend(self.scoring.finished())

    def probe(self, *, leads: bool) -> None:
        """Put questions to both models, where this replica leads, a rollout is under way and there is room."""
        if not self._parts.probes:
            return
        rollout = self.rollout
        wanted = leads and rollout is not None and rollout.status != "rolled back" and not self.scoring.full
        for exchange in self._probing.exchanges(0 if rollout is None else rollout.number, wanted=wanted):
            self.put(exchange)

    def write(self) -> None:
        """Write scored answers down, oldest first. Raises StoreError; then they wait."""
        while self._rows:
            some = [self._rows[i] for i in range(min(AT_ONCE, len(self._rows)))]
            kept = [_named(one.exchange) for one in some if self._keeps(one)]
            if kept:
                self._store.keep_bodies(*kept)
                self.counts["bodies"] += len(kept)
            self._store.add_scored([one.row for one in some])
            for _ in some:
                self._rows.popleft()
            self.counts["written"] += len(some)
        if self._mirrored and self.rollout is not None:
            self._store.count(self.alias.name, self.rollout.number, "mirrored", self._mirrored)
            self._mirrored = 0

    def follow(self) -> None:
        """Look at the rollout; another one begins with evidence anew. Raises StoreError."""
        rollout = self._store.rollout(self.alias.name)
        if rollout is not None and (self.rollout is None or rollout.number != self.rollout.number):
            self.evidence = Evidence(self.alias.canary, rollout, probed=bool(self._parts.probes))
            self._path, self._mirror, self._published = Path(), Mirror(), None
            self._actions.begin(rollout)
            self._hearing = Hearing(self.alias.canary, rollout, self._store, probed=bool(self._parts.probes))
            if self._anchors.drift or self._anchors.reading is None:  # another rollout, another chance for the judge
                kept = self._store.reading(self._anchors_name)
                same = kept is not None and kept.get("rollout") == rollout.number
                self._anchors = self._anchors_from(kept if same or not (kept or {}).get("drifted") else None)
        self.rollout = rollout

    def fold(self) -> None:
        """Fold rows that are new in the store. Raises StoreError."""
        if self.rollout is None or self.evidence is None:
            return
        rows = self._store.scored(self.alias.name, self.rollout.number, self.evidence.folded, PAGE)
        self._path.add(self.evidence.add(rows))
        self.behind = len(rows) == PAGE  # the next rounds fold the rest; scoring goes on in between

    def decide(self, lease: Lease) -> None:
        """Act on what is known. Raises StoreError."""
        if self.rollout is None or self.evidence is None:
            return
        self._tell_health()
        self._watch_judge()
        if self.behind and self.evidence.alarm is None:
            return  # half of the evidence may say what all of it does not; an alarm stays an alarm
        if self.evidence.alarm is not None and not self._actions.told:
            try:
                self.publish()  # whoever reads of the alarm finds its evidence
            except Exception:  # nothing may stand between an alarm and what it does
                _LOG.exception("The reading of an alarm could not be published.")
        people = self._hearing if self.alias.canary.confirm != "never" else None
        if people is not None and self.evidence.alarm is not None:
            people.listen(self.evidence.alarm.number)
        self.rollout = self._actions.act(self.rollout, self.evidence, self.reading(), lease, people)

    def publish(self) -> None:
        """Put the reading where admin planes find it, if it changed. Raises StoreError."""
        reading = None if self.behind and (self.evidence is None or self.evidence.alarm is None) else self.reading()
        if reading is None or (self._published is not None and _same(reading, self._published)):
            return
        to_go = None if self.evidence is None else self.evidence.answers_to_go(TO_GO_RATE)
        put(self._store, Published(reading, self._path.points, to_go))
        self._published = reading

    def reading(self) -> RolloutReading | None:
        """What is known now."""
        if self.evidence is None:
            return None
        health = self.scoring.health
        return self._actions.told_in(
            replace(
                self.evidence.reading(self._now()),
                judged=self.scoring.judge is not None,
                judge_down=health.why or "it does not answer" if health.down else "",
                confirmed="" if self._hearing is None else self._hearing.sentence,
                judge_drift=self._anchors.drift,
                mirror_silent=self._silence(),
                waiting=len(self.inbox),
                counts={**self.inbox.counts, **self.counts, **self._probing.counts, "failed": self.scoring.failed},
                unread=dict(self.scoring.unread),
            )
        )

    def close(self) -> None:
        """End what is under way."""
        self._probing.close()
        self.scoring.close()

    def _keeps(self, one: Scored) -> bool:
        flagged = one.row.outcome.value == "misaligned" or any(one.row.flags.values())
        return self._state.bodies == "scored" or (self._state.bodies == "flagged" and flagged)

    def _saw(self, exchange: Exchange) -> None:
        if exchange.source == "shadow":
            self._mirrored += 1
        if self.rollout is None or exchange.rollout != self.rollout.number or exchange.reason not in ROUTED:
            return
        if self.rollout.status != "rolled back":
            switch = switch_of(self.alias.canary, self.rollout)
            self._mirror.saw(exchange, arriving_share(switch.share, switch.base_sample, switch.shadow))

    def _silence(self) -> str:
        if self.rollout is None or self.rollout.status == "rolled back" or not self._mirror.silent:
            return ""
        return (
            f"No whole answer of the tuned model came among the last {self._mirror.in_a_row} conversations, which is "
            "no chance at this share. Look at its server, and at the fallbacks."
        )

    @property
    def _anchors_name(self) -> str:
        """Where the state of the anchors is kept, beside the readings of aliases, whose names can be printed."""
        return f"\0anchors\0{self.alias.name}"

    def _anchors_from(self, kept: Mapping[str, Any] | None) -> Anchors:
        judge = self.scoring.judge
        known = self._parts.anchors if judge is not None else ()
        name = "" if judge is None else judge.fingerprint
        return Anchors(known, name, None if kept is None else kept.get("anchors"), clock=self._clock)

    def _watch_judge(self) -> None:
        """Tell a drift once, and keep what is known of the judge."""
        rollout, drift = self.rollout, self._anchors.drift
        if rollout is None or (self._anchors.reading is None and not drift):
            return
        if self.evidence is not None and self.evidence.alarm is not None:
            self._anchors.alarm()
        fresh = bool(drift) and not self._told_drift
        if fresh:
            self._store.add_event("judge drift", self.alias.name, rollout.number, "monitor", drift)
        self._told_drift = bool(drift)
        if fresh or self._clock() - self._anchors_kept > KEEP_SECONDS:
            self._anchors_kept = self._clock()
            kept = {"rollout": rollout.number, "drifted": bool(drift), "anchors": self._anchors.state()}
            self._store.put_reading(self._anchors_name, kept)

    def _tell_health(self) -> None:
        health = self.scoring.health
        if self.rollout is None or health.down == self._was_down:
            return
        if health.down:
            why = f"The judge gives no verdicts ({health.why}). Nothing is tested until it does."
            self._store.add_event("judge down", self.alias.name, self.rollout.number, "monitor", why)
        else:
            why = "The judge gives verdicts again."
            self._store.add_event("judge back", self.alias.name, self.rollout.number, "monitor", why)
        self._was_down = health.down


def _named(exchange: Exchange) -> Exchange:
    """The exchange under the name that its bodies are kept by."""
    name = kept_under(exchange)
    return exchange if name == exchange.id else replace(exchange, id=name)


def _same(one: RolloutReading, other: RolloutReading) -> bool:
    """Whether nothing but the time differs."""
    return replace(one, at=0.0) == replace(other, at=0.0)
