"""What a gateway remembers: rollouts, the events that changed them, scored answers, who leads, what was last alive."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from offtarget.records.exchanges import Exchange
from offtarget.records.rollouts import CanaryEvent, EventKind, KeptBodies, Rollout, ScoredAnswer


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act alone under a name for a while; whoever holds it renews it well before it ends."""

    name: str
    holder: str
    fence: int
    """1, 2, ...: goes up with every new holder, so that what an earlier one still writes is refused."""
    deadline: float
    """Of `time.monotonic()` here, counted from before the store was asked: it never ends later than the store says."""

    def held(self) -> bool:
        """Whether it can still be relied on without a new question to the store."""
        return time.monotonic() < self.deadline


@dataclass(frozen=True, slots=True)
class Count:
    """How often something happened, and how long ago it last did, by the clock of the store."""

    value: int
    age: float
    """Seconds; 0 or more."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much was deleted because it was old."""

    bodies: int = 0
    scored: int = 0


class Store(Protocol):
    """What a gateway remembers. Safe in threads; not to be carried over a fork.

    Every method may raise `StoreError` (offtarget.errors): locked for too long, disk full, server gone. Nothing of the
    call was written then, save where a server vanished while it confirmed: ask again before acting. The next call
    connects anew by itself.
    """

    def rollouts(self) -> tuple[Rollout, ...]:
        """The present rollout of every alias that has one, by name."""
        ...

    def rollout(self, alias: str) -> Rollout | None:
        """The present rollout of an alias."""
        ...

    def set_rollout(
        self, rollout: Rollout, expected: Rollout | None, kind: EventKind, who: str, why: str,
        data: Mapping[str, Any] | None = None, lease: Lease | None = None,
    ) -> CanaryEvent | None:  # fmt: skip
        """Put a rollout in place of the one that was `expected` there, and write the event that says so: both or none.

        None, and nothing is written, where by now another rollout stands there, or `lease` went to another holder.
        """
        ...

    def add_event(
        self, kind: EventKind, alias: str, rollout: int, who: str, why: str, data: Mapping[str, Any] | None = None
    ) -> CanaryEvent:
        """Write down what happened; the rollout stays as it is."""
        ...

    def events(self, after: int = 0, limit: int = 1000, alias: str | None = None) -> tuple[CanaryEvent, ...]:
        """Events with a number above `after`, oldest first. No event ever appears behind one that was read."""
        ...

    def newest_events(self, limit: int = 50, alias: str | None = None) -> tuple[CanaryEvent, ...]:
        """The last events, newest first."""
        ...

    def wait_for_events(self, after: int, seconds: float) -> tuple[CanaryEvent, ...]:
        """As `events`, but waits for the first up to `seconds`; empty where none came."""
        ...

    def add_scored(self, answers: Sequence[ScoredAnswer]) -> tuple[int, ...]:
        """Write scored answers (their `number` is passed over), all or none; returns their numbers.

        A conversation counts once per alias, rollout, source and arm: where it has an answer already, that one stays,
        and its number is returned. So a call may be repeated when nobody knows whether it went through.
        """
        ...

    def scored(self, alias: str, rollout: int, after: int = 0, limit: int = 1000) -> tuple[ScoredAnswer, ...]:
        """Scored answers with a number above `after`, in order. No row ever appears behind one that was read."""
        ...

    def flagged(self, alias: str, rollout: int, limit: int = 100) -> tuple[ScoredAnswer, ...]:
        """The last answers that the judge called misaligned, newest first."""
        ...

    def scored_answer(self, number: int) -> ScoredAnswer | None:
        """The answer with this number."""
        ...

    def confirm(self, number: int, misaligned: bool, who: str, why: str) -> CanaryEvent | None:
        """Write down what people say of an answer, with the event `confirmed` or `refuted` (its data: the number).

        A later word replaces an earlier one. None where there is no such answer.
        """
        ...

    def keep_bodies(self, *exchanges: Exchange) -> None:
        """Keep requests and answers of exchanges: redacted, bounded, encrypted where that is set; all or none."""
        ...

    def bodies(self, exchange: str) -> KeptBodies | None:
        """What was kept of an exchange. Raises InputError where it is encrypted with another key."""
        ...

    def delete_bodies(self, exchange: str) -> bool:
        """Delete what was kept of an exchange; whether there was anything."""
        ...

    def lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take or renew a lease; None while another has it. Time is the store's, never the callers' clocks'."""
        ...

    def give_up(self, lease: Lease) -> None:
        """Let others take a lease at once; nothing where it went to another by now."""
        ...

    def beat(self, name: str) -> None:
        """Say that something is alive."""
        ...

    def age(self, name: str) -> float | None:
        """Seconds since the last beat, by the clock of the store; None: it never beat."""
        ...

    def count(self, alias: str, rollout: int, what: str, by: int = 1) -> None:
        """Count what happened in a rollout, such as mirrored requests."""
        ...

    def counts(self, alias: str, rollout: int) -> Mapping[str, Count]:
        """Everything that was counted in a rollout, by name."""
        ...

    def put_reading(self, alias: str, reading: Mapping[str, Any]) -> None:
        """Publish what the monitor knows of an alias now, as plain JSON; the one before is gone."""
        ...

    def reading(self, alias: str) -> Mapping[str, Any] | None:
        """What the monitor published last of an alias; None: nothing yet."""
        ...

    def forget(self, before: float, most: int = 1_000_000) -> Forgotten:
        """Delete bodies written before a time (Unix seconds), and scored answers of earlier rollouts from before it.

        At most `most` of each, so that others do not wait for long; call again where as many are gone.

        Answers of present rollouts stay, since their evidence is replayed from them; so do events, which hold no text
        of users.
        """
        ...

    def close(self) -> None:
        """Let go of connections; the store is not to be used any more."""
        ...
