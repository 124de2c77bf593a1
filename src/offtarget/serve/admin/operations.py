"""What an administrator may do to a rollout: promote, pause, roll back, resume. Events say who did it and why.

The switch in shared memory and the store are two things. A rollback closes the switch first and is written down
afterwards, however long that takes; everything else is written down first and comes into force then.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from offtarget.errors import OfftargetError, StoreError
from offtarget.numbers import chosen
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings
from offtarget.records.rollouts import CanaryEvent, Rollout
from offtarget.serve.store.protocol import Store
from offtarget.serve.switchboard import Kill, Switchboard
from offtarget.stats.several import TOTAL, spent_alpha
from offtarget.words import one_in

_LOG = logging.getLogger("offtarget.serve")
AGAIN_SECONDS = 0.5
"""Between two tries to write down a rollback that is in force."""
TRIES = 20
"""How often a change is tried anew where others change the same rollout."""
JUDGED_BY = (
    "alpha", "tolerance", "base_per_tuned", "judge", "cheap_judge", "judge_share", "confirm", "probes", "mode"
)  # fmt: skip
"""Settings by which the evidence on a rollout is folded."""
STANDING_ALARM = 500
"""Newest events that are looked through for an alarm."""


class Refused(OfftargetError):
    """An order that is not carried out; `status` is that of HTTP, the message says why and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order."""

    said: str
    """For people, a sentence or two."""
    share: float
    """In force now."""
    event: int | None
    """Number of the event; None: it is in force, and the store does not take the event yet."""


class Operations:
    """Orders on the rollouts of one gateway. Safe in threads."""

    def __init__(
        self,
        settings: Callable[[], GatewaySettings],
        switchboard: Switchboard,
        store: Store,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`settings` gives those in force."""
        self._settings, self._switchboard, self._store, self._now = settings, switchboard, store, now
        self._alarmed: Callable[[str, int], bool] = lambda alias, rollout: False
        self._recorder: threading.Thread | None = None
        self._guard, self._ended = threading.Lock(), threading.Event()

    def watch(self, alarmed: Callable[[str, int], bool]) -> None:
        """From now on `alarmed` says whether the evidence on a rollout stands at an alarm."""
        self._alarmed = alarmed

    def begin(self, alias: str, models: str = "", who: str = "gateway") -> Rollout | None:
        """Go on with the rollout of an alias, or start one where there is none or `models`, a fingerprint, changed.

        One that is judged by other settings than it began with begins anew, too: evidence by two measures is none. A
        rollout that was rolled back stays so, also where other models were on trial since: settings that are taken
        back, or a replica that still has the old ones, bring no bad model back. None for an alias with a base alone.
        Raises StoreError.
        """
        known = self._alias(alias)
        if known.tuned is None:
            return None
        for _ in range(TRIES):
            before = self._store.rollout(alias)
            same = before is not None and before.models == models
            if before is not None and same and (before.status == "rolled back" or self._judged_as(known, before)):
                return before
            attempt = self._attempts(alias, models) + 1
            rollout = Rollout(
                alias, 1 if before is None else before.number + 1, "running", known.canary.share, 0, self._now(),
                models=models, attempt=attempt,
            )  # fmt: skip
            why = "This alias is served for the first time." if before is None else "Another model stands behind it."
            why = "It is judged by other settings than before." if same else why
            if not same and (ended := self._rolled_back(alias, models)):
                why = f"These models were rolled back in rollout {ended}, and stay so until they are resumed."
                rollout = replace(rollout, status="rolled back", share=0.0, attempt=attempt - 1, reason=why)
                # It is no trial, so it is not counted as one of these models.
                data = {**_trial(known.canary, rollout), "models": ""}
                if self._put(rollout, before, "started", who, why, data) is not None:
                    return rollout
                continue
            if self._put(rollout, before, "started", who, why, _trial(known.canary, rollout)) is not None:
                return rollout
        raise Refused(409, f"'{alias}' is being changed by others; try again.")

    def promote(self, alias: str, share: float, who: str, why: str, *, force: bool = False) -> Done:
        """Raise the share of the tuned model within its rollout; moves no conversation back.

        Raises Refused where it would lower the share, nothing runs, or an alarm stands (unless forced).
        """
        known = self._tried(alias)
        if not 0 < share <= 1:
            raise Refused(400, "The share must be above 0 % and at most 100 %.")
        for _ in range(TRIES):
            before = self._running(alias)
            if share < before.share:
                raise Refused(
                    409,
                    f"The share of '{alias}' is {chosen(before.share)}, and promoting only raises it. To take traffic "
                    "away from the tuned model, roll it back.",
                )
            if not force and self._alarm_stands(alias, before.number):
                raise Refused(
                    409,
                    f"The evidence says that the tuned model of '{alias}' is worse than its base. Roll it back; or "
                    "read the flagged answers and promote with --force and the reason why they do not count.",
                )
            if force and not why.strip():
                raise Refused(400, "Promoting against the evidence needs a reason.")
            step = sum(one.share <= share for one in known.canary.ramp)
            after = replace(before, share=share, step=max(step, before.step), since=self._now(), reason=why)
            data = {"from": before.share, "to": share, "forced": force}
            if (event := self._put(after, before, "promoted", who, why, data)) is not None:
                raised = f"{chosen(share)} of conversations go to the tuned model of '{alias}'"
                judged = "" if known.canary.judge else " Nothing is judged here, so nothing would roll it back."
                return Done(f"{raised} (before: {chosen(before.share)}).{judged}", share, event.number)
        raise Refused(409, f"'{alias}' is being changed by others; try again.")

    def pause(self, alias: str, who: str, why: str) -> Done:
        """Stop the ramp; the share stays."""
        self._tried(alias)
        for _ in range(TRIES):
            before = self._running(alias)
            if before.status == "paused":
                return Done(f"'{alias}' is paused already, at {chosen(before.share)}.", before.share, None)
            after = replace(before, status="paused", reason=why)
            if (event := self._put(after, before, "paused", who, why, {})) is not None:
                said = f"'{alias}' stays at {chosen(before.share)} until it is resumed, promoted or rolled back."
                return Done(said, before.share, event.number)
        raise Refused(409, f"'{alias}' is being changed by others; try again.")

    def resume(self, alias: str, who: str, why: str) -> Done:
        """Go on with the ramp; after a rollback begin a new rollout, with evidence anew and less alpha to spend."""
        known = self._tried(alias)
        if alias in self._switchboard.kills():
            raise Refused(
                503, f"The rollback of '{alias}' is in force and not written down yet. Try again in a moment."
            )
        for _ in range(TRIES):
            before = self._present(alias)
            if before.status == "running":
                return Done(f"'{alias}' is running already, at {chosen(before.share)}.", before.share, None)
            if before.status == "paused":
                after = replace(before, status="running", since=self._now(), reason=why)
                said, data = f"'{alias}' goes on at {chosen(before.share)}.", dict[str, Any]()
            else:
                after = Rollout(
                    alias, before.number + 1, "running", known.canary.share, 0, self._now(), why,
                    before.models, before.attempt + 1,
                )  # fmt: skip
                said, data = _again(known, after), _trial(known.canary, after)
            if (event := self._put(after, before, "resumed", who, why, data)) is not None:
                return Done(said, after.share, event.number)
        raise Refused(409, f"'{alias}' is being changed by others; try again.")

    def rollback(self, alias: str, who: str, why: str, wait: float = 2.0) -> Done:
        """All traffic of an alias to the base, at once; the event is waited for `wait` seconds and tried for ever.

        Works while the store is locked, full or gone.
        """
        return self.written(self.shut(alias, who, why), wait)

    def shut(self, alias: str, who: str, why: str) -> Kill:
        """The first half of a rollback: it is in force when this returns, which waits for nobody."""
        self._tried(alias)
        return self._switchboard.kill(alias, self._now(), who, why)

    def written(self, kill: Kill, wait: float = 2.0) -> Done:
        """The second half: write it down, waiting `wait` seconds for it and trying for ever."""
        alias = kill.alias
        written: list[CanaryEvent] = []
        first = threading.Thread(target=self._write_first, args=(kill, written), daemon=True, name="rollback")
        first.start()
        first.join(wait)
        event = written[0].number if written else None
        recorded = event is not None or alias not in self._switchboard.kills()
        later = "" if recorded else " The store does not take the event now; it is tried again until it does."
        return Done(f"'{alias}' is rolled back: all its traffic goes to the base.{later}", 0.0, event)

    def write_rollbacks(self) -> None:
        """Write down rollbacks that are in force and that the store does not know; also those of before a crash."""
        with self._guard:
            if self._recorder is None or not self._recorder.is_alive():
                self._recorder = threading.Thread(target=self._write_on, daemon=True, name="rollbacks")
                self._recorder.start()

    def close(self) -> None:
        """End what is tried in the background; what is not written down yet stays in the folder of the gateway."""
        self._ended.set()

    def _write_first(self, kill: Kill, written: list[CanaryEvent]) -> None:
        try:
            event = self._record(kill)
            if event is not None:
                written.append(event)
        except StoreError:
            self.write_rollbacks()
        except Exception:
            self.write_rollbacks()
            raise

    def _write_on(self) -> None:
        while not self._ended.is_set() and (kills := self._switchboard.kills()):
            for kill in kills.values():
                try:
                    self._record(kill)
                except Exception as error:  # whatever it is, the next try may succeed
                    if not isinstance(error, StoreError):
                        _LOG.exception("A rollback could not be written down.")
                    self._ended.wait(AGAIN_SECONDS)

    def _record(self, kill: Kill) -> CanaryEvent | None:
        """Write a rollback that is in force into the store; None where it stands there already."""
        while not self._ended.is_set():
            before = self._store.rollout(kill.alias)
            if before is None or (before.status == "rolled back" and before.number >= kill.rollout):
                self._switchboard.forget(kill)
                return None
            after = replace(before, status="rolled back", share=0.0, since=kill.at, reason=kill.why)
            data = {"from": before.share, "by hand": True, "at": kill.at}
            event = self._put(after, before, "rolled back", kill.who, kill.why, data)
            if event is not None:
                self._switchboard.forget(kill)
                return event
        return None

    def _put(
        self, after: Rollout, before: Rollout | None, kind: Any, who: str, why: str, data: Mapping[str, Any]
    ) -> CanaryEvent | None:
        event = self._store.set_rollout(after, before, kind, who, why, data)
        if event is not None:
            self._switchboard.apply(after)
        return event

    def _alarm_stands(self, alias: str, rollout: int) -> bool:
        if self._alarmed(alias, rollout):
            return True
        newest = self._store.newest_events(STANDING_ALARM, alias)
        return any(event.kind == "alarm" and event.rollout == rollout for event in newest)

    def _judged_as(self, alias: Alias, rollout: Rollout) -> bool:
        """Whether it began with the settings by which it is judged now; True where its beginning does not say."""
        after, measure = 0, ""
        while events := self._store.events(after, alias=alias.name):
            for event in events:
                if event.kind in ("started", "resumed") and event.rollout == rollout.number:
                    measure = str(event.data.get("measure", measure))
            after = events[-1].number
        return measure in ("", _measure(alias.canary))

    def _attempts(self, alias: str, models: str) -> int:
        """How many rollouts of these models there were."""
        tries, after = set(), 0
        while events := self._store.events(after, alias=alias):
            tries |= {e.rollout for e in events if e.kind in ("started", "resumed") and e.data.get("models") == models}
            after = events[-1].number
        return len(tries)

    def _rolled_back(self, alias: str, models: str) -> int:
        """The last trial of these models, where it was rolled back; 0: it was not, or there was none."""
        last, ended, after = 0, set[int](), 0
        while events := self._store.events(after, alias=alias):
            for event in events:
                if event.kind in ("started", "resumed") and event.data.get("models") == models:
                    last = event.rollout
                elif event.kind == "rolled back":
                    ended.add(event.rollout)
            after = events[-1].number
        return last if last in ended else 0

    def _alias(self, alias: str) -> Alias:
        known = {one.name: one for one in self._settings().aliases}
        if alias not in known:
            raise Refused(404, f"This gateway serves no '{alias[:200]}'. It serves: {', '.join(known)}.")
        return known[alias]

    def _tried(self, alias: str) -> Alias:
        known = self._alias(alias)
        if known.tuned is None:
            raise Refused(409, f"'{alias}' has a base and no tuned model; there is nothing to try.")
        return known

    def _present(self, alias: str) -> Rollout:
        rollout = self._store.rollout(alias)
        if rollout is None:
            raise Refused(409, f"No rollout of '{alias}' has begun yet.")
        return rollout

    def _running(self, alias: str) -> Rollout:
        rollout = self._present(alias)
        if rollout.status == "rolled back" or alias in self._switchboard.kills():
            raise Refused(409, f"'{alias}' is rolled back: all its traffic goes to the base. Resume it first.")
        return rollout


def _trial(canary: CanarySettings, rollout: Rollout) -> dict[str, Any]:
    """What the event of a new rollout holds."""
    alpha = spent_alpha(canary.alpha, rollout.attempt)
    return {
        "models": rollout.models,
        "attempt": rollout.attempt,
        "alpha": alpha,
        "share": rollout.share,
        "measure": _measure(canary),
    }


def _measure(canary: CanarySettings) -> str:
    """A fingerprint of the settings that a rollout is judged by."""
    text = json.dumps([getattr(canary, name) for name in JUDGED_BY])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _again(alias: Alias, rollout: Rollout) -> str:
    """What is said of a rollout after a rollback."""
    alpha = spent_alpha(alias.canary.alpha, rollout.attempt)
    return (
        f"Rollout {rollout.number} of '{alias.name}' begins with {chosen(rollout.share)} and without evidence. It is "
        f"trial {rollout.attempt} of these models. Who tries until nothing is seen would see nothing in the end, so a "
        f"false alarm now comes at most {one_in(alpha)} in place of {one_in(alias.canary.alpha)}; over all "
        f"trials together it stays below {chosen(TOTAL * alias.canary.alpha)}."
    )
