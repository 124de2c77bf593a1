"""What the evidence leads to: a rollback, a pause or a message at an alarm; the next step of the ramp without one.

Whatever is in doubt holds the ramp: no judge, a judge that is down or drifted, a mirror that is silent, too few
answers, evidence that does not say `not worse` where that is asked for. A drifted judge never rolls back on its word.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from offtarget.numbers import chosen, duration, many
from offtarget.records.gateway import Alias
from offtarget.records.rollouts import CanaryEvent, Rollout
from offtarget.records.serve import RolloutAlarm, RolloutReading
from offtarget.serve.monitor.evidence import Evidence
from offtarget.serve.monitor.hearing import Hearing
from offtarget.serve.store.protocol import Lease, Store

_LOG = logging.getLogger("offtarget.serve")
WHO = "monitor"
DOUBT_SECONDS = 300.0
"""A share whose evidence does not come any more is paused after so long."""

Tell = Callable[[Mapping[str, Any]], None]
"""Tells the webhook."""
Bundle = Callable[[Rollout, Evidence, RolloutReading], str]
"""Writes the evidence down and returns its name; may raise."""


class Actions:
    """Acts for one alias. What it has done stands in the store's events, where it is found again after a restart."""

    def __init__(
        self, alias: Alias, store: Store, tell: Tell, bundle: Bundle | None = None, *,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._alias, self._store, self._tell, self._bundle = alias, store, tell, bundle
        self._clock, self._now = clock, now
        self.told = False
        """Whether the alarm of this rollout is in the store."""
        self._owed = False
        """Whether the rollout ended by an alarm that is not in the store yet: whoever rolled it back was killed."""
        self._overruled = self._paused = False
        self._doubt: tuple[str, float] | None = None
        self._silent = False
        self._held_since: tuple[int, int, float] | None = None
        self._answers_then = 0
        self._held = ""

    def begin(self, rollout: Rollout) -> None:
        """Another rollout: what was done on it before is read from the events. Raises StoreError."""
        self._doubt, self._held_since, self._held = None, None, ""
        self.told = self._silent = self._overruled = self._paused = self._owed = False
        for event in self._events(rollout):
            if event.kind == "alarm":
                self.told, self._overruled, self._owed = True, False, False
            elif event.kind == "rolled back":
                self._owed = event.who == WHO and not self.told
            elif event.kind in ("resumed", "promoted"):
                self._overruled = self.told  # somebody went on in spite of it
            elif event.kind == "mirror silent":
                self._silent = True

    def act(
        self,
        rollout: Rollout,
        evidence: Evidence,
        reading: RolloutReading | None,
        lease: Lease,
        people: Hearing | None = None,
    ) -> Rollout:
        """Do what is due; returns the rollout as it stands then. Raises StoreError.

        `people`: what they make of an alarm, where they are asked.
        """
        if reading is None:
            return rollout
        if rollout.status == "rolled back":
            if self._owed and evidence.alarm is not None:
                self._record(rollout, evidence, reading, evidence.alarm, rollout.reason, "rollback")
            return rollout
        if self.told and self._paused and rollout.status == "running":
            self._overruled = True  # somebody went on in spite of the alarm
        self._paused = rollout.status == "paused"
        sure = people is not None and people.confirmed and self._alias.canary.on_alarm == "rollback"
        if evidence.alarm is not None and (sure or not self._overruled):
            rollout = self._alarm(rollout, evidence, reading, lease, people)
            self._paused = rollout.status == "paused"
            return rollout
        rollout = self._in_doubt(rollout, reading, lease)
        return self._ramp(rollout, reading, lease)

    def told_in(self, reading: RolloutReading) -> RolloutReading:
        """The reading with why the ramp is held."""
        return replace(reading, ramp_held=self._held)

    def _alarm(
        self, rollout: Rollout, evidence: Evidence, reading: RolloutReading, lease: Lease, people: Hearing | None
    ) -> Rollout:
        alarm = evidence.alarm
        assert alarm is not None
        why = reading.why
        on_alarm = self._alias.canary.on_alarm
        harm = alarm.metric == "misaligned"  # other metrics need nobody's opinion
        if harm and people is not None and people.confirmed:
            why = f"{why} {people.sentence}"
        elif harm and self._alias.canary.confirm == "before" and on_alarm == "rollback":
            on_alarm = "pause"
            why = f"{why} People are asked before it is rolled back: offtarget canary confirm."
        elif reading.judge_drift:  # the judge's word alone does not count now
            on_alarm = "pause" if on_alarm == "rollback" else on_alarm
            why = f"{why} But {reading.judge_drift[0].lower()}{reading.judge_drift[1:]}"
        wanted = {"rollback": "rolled back", "pause": "paused"}.get(on_alarm)
        if wanted is not None and rollout.status != wanted:
            rollout = self._set(rollout, wanted, why, lease, {"alarm": alarm.number, "metric": alarm.metric})
        if not self.told:
            self._owed = rollout.status == "rolled back"  # until the alarm is in the store, too
            self._record(rollout, evidence, reading, alarm, why, on_alarm)
        return rollout

    def _record(
        self,
        rollout: Rollout,
        evidence: Evidence,
        reading: RolloutReading,
        alarm: RolloutAlarm,
        why: str,
        on_alarm: str,
    ) -> None:
        """Write the evidence of an alarm down, then the alarm, and tell the webhook. Raises StoreError."""
        data = {
            "metric": alarm.metric, "kind": alarm.kind, "tuned": alarm.tuned, "log_e": alarm.log_e,
            "threshold": alarm.threshold, "number": alarm.number, "did": on_alarm, "evidence": "",
        }  # fmt: skip
        if self._bundle is not None:
            try:
                data["evidence"] = self._bundle(rollout, evidence, reading)
            except Exception as error:  # the alarm is told with its evidence or without
                _LOG.exception("The evidence of an alarm could not be written down.")
                data["evidence_error"] = str(error)
        self._store.add_event("alarm", rollout.alias, rollout.number, WHO, why, data)
        self.told, self._owed = True, False
        self._tell(self._message("alarm", rollout, why, data))

    def _in_doubt(self, rollout: Rollout, reading: RolloutReading, lease: Lease) -> Rollout:
        """Where no evidence comes any more the share is paused after a while; a silent mirror is an event at once."""
        if reading.mirror_silent and not self._silent:
            self._store.add_event("mirror silent", rollout.alias, rollout.number, WHO, reading.mirror_silent)
            self._tell(self._message("mirror silent", rollout, reading.mirror_silent, {}))
        self._silent = bool(reading.mirror_silent)
        why = doubt(reading)
        if not why or not reading.judged:
            self._doubt = None
            return rollout
        if self._doubt is None:
            self._doubt = (why, self._clock())
        if rollout.status == "running" and self._clock() - self._doubt[1] > DOUBT_SECONDS:
            self._doubt = None
            return self._set(rollout, "paused", why, lease, {"by itself": True})
        return rollout

    def _ramp(self, rollout: Rollout, reading: RolloutReading, lease: Lease) -> Rollout:
        """The next step, where it is due and nothing holds it."""
        steps = self._alias.canary.ramp
        answers = tuned_answers(reading)
        key = (rollout.number, rollout.step)
        if self._held_since is None or self._held_since[:2] != key:
            # a clock that is set does not move a step on: time is counted from when this monitor first saw the step
            self._held_since, self._answers_then = (*key, self._clock()), answers
        if rollout.step >= len(steps):
            self._held = ""
            return rollout
        step = steps[rollout.step]
        held = self._held_since[2]
        self._held = self._why_held(rollout, reading, step.hold_seconds - (self._clock() - held), answers)
        if self._held:
            return rollout
        after = replace(rollout, share=step.share, step=rollout.step + 1, since=self._now())
        why = f"The ramp goes on: {chosen(rollout.share)} to {chosen(step.share)} of conversations."
        event = self._store.set_rollout(
            replace(after, reason=why), rollout, "promoted", WHO, why, {"from": rollout.share, "to": step.share}, lease
        )
        return rollout if event is None else replace(after, reason=why)

    def _why_held(self, rollout: Rollout, reading: RolloutReading, seconds: float, answers: int) -> str:
        step = self._alias.canary.ramp[rollout.step]
        if rollout.status != "running":
            return "The rollout is paused."
        if not reading.judged:
            return "There is no judge, so nothing is tested; promote by hand."
        if why := doubt(reading):
            return why
        if reading.alarm is not None:
            return "An alarm stands."
        if reading.larger:
            return f"{reading.larger[0]} Promote by hand if that is as it should be."
        if step.share <= rollout.share:
            return f"The next step of the ramp ({chosen(step.share)}) is no more than the share in force."
        if seconds > 0:
            return f"The share is held for another {duration(max(1.0, seconds))}."
        missing = step.hold_answers - (answers - self._answers_then)
        if missing > 0:
            return f"{many(missing, 'more answer')} of the tuned model must be scored at this share."
        if reading.verdict != "not worse":
            return "The evidence does not yet say that the tuned model is not worse."
        return ""

    def _set(self, rollout: Rollout, status: str, why: str, lease: Lease, data: Mapping[str, Any]) -> Rollout:
        kind: Literal["rolled back", "paused"] = "rolled back" if status == "rolled back" else "paused"
        share = 0.0 if status == "rolled back" else rollout.share
        after = replace(rollout, status=kind, share=share, since=self._now(), reason=why)
        event = self._store.set_rollout(after, rollout, kind, WHO, why, {"from": rollout.share, **data}, lease)
        if event is None:  # somebody else acted meanwhile: look again before anything is done
            return self._store.rollout(rollout.alias) or rollout
        self._tell(self._message(kind, after, why, data))
        return after

    def _events(self, rollout: Rollout) -> list[CanaryEvent]:
        found, after = [], 0
        while events := self._store.events(after, alias=rollout.alias):
            found += [event for event in events if event.rollout == rollout.number]
            after = events[-1].number
        return found

    def _message(self, kind: str, rollout: Rollout, why: str, data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "event": kind, "alias": rollout.alias, "rollout": rollout.number, "status": rollout.status,
            "share": rollout.share, "why": why, "at": self._now(), "data": dict(data),
        }  # fmt: skip


def doubt(reading: RolloutReading) -> str:
    """Why the evidence cannot be relied on now, as a sentence; empty where it can."""
    if reading.judge_down:
        return f"The judge gives no verdicts ({reading.judge_down})."
    return reading.judge_drift or reading.mirror_silent


def tuned_answers(reading: RolloutReading) -> int:
    """Tuned answers in the evidence on harm."""
    return next((one.reading.tuned.answers for one in reading.metrics if one.name == "misaligned"), 0)
