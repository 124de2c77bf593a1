"""What a store does, in SQL that SQLite and Postgres understand alike; each of them adds connections and clocks.

Numbers come from a counter row that stays locked until the transaction ends. So transactions that hand out numbers
come one after the other, and whoever has read number n has seen, or can see, every number below n.
"""

from __future__ import annotations

import dataclasses
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from offtarget.errors import InputError
from offtarget.records.answers import Outcome
from offtarget.records.exchanges import Exchange
from offtarget.records.from_json import from_json
from offtarget.records.rollouts import CanaryEvent, EventKind, KeptBodies, Rollout, ScoredAnswer
from offtarget.rundir import to_jsonable
from offtarget.serve.store.bodies import BodyKeeper
from offtarget.serve.store.protocol import Count, Forgotten, Lease
from offtarget.serve.store.tables import STEPS

T = TypeVar("T")

Row = Sequence[Any]


class Transaction(ABC):
    """One open transaction. Placeholders are `?`."""

    @abstractmethod
    def run(self, sql: str, *values: Any) -> int:
        """Carry out a statement; returns how many rows it touched."""

    @abstractmethod
    def rows(self, sql: str, *values: Any) -> list[Row]:
        """The rows of a query."""

    def one(self, sql: str, *values: Any) -> Row | None:
        """The first row of a query."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    @abstractmethod
    def now(self) -> tuple[str, float]:
        """The clock of the store: an era within which it only goes on, and seconds."""


class SqlStore(ABC):
    """Everything of `Store` but the waiting."""

    _bytes: str
    """Type of bytes in this database."""

    def __init__(self, keeper: BodyKeeper) -> None:
        self._keeper = keeper

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Transaction]:
        """A transaction; committed at the end, undone on an error. Raises StoreError."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Transaction]:
        """A transaction that only reads. Raises StoreError."""

    @abstractmethod
    def _tell(self, transaction: Transaction) -> None:
        """Wake those who wait for events, once the transaction is committed."""

    # rollouts

    def rollouts(self) -> tuple[Rollout, ...]:  # noqa: D102  (see protocol.py, as for all that follow)
        with self._reading() as reading:
            rows = reading.rows("SELECT record FROM offtarget_rollouts ORDER BY alias")
        return tuple(_record(Rollout, text) for (text,) in rows)

    def rollout(self, alias: str) -> Rollout | None:  # noqa: D102
        with self._reading() as reading:
            row = reading.one("SELECT record FROM offtarget_rollouts WHERE alias = ?", _key(alias))
        return _record(Rollout, row[0]) if row else None

    def set_rollout(  # noqa: D102
        self,
        rollout: Rollout,
        expected: Rollout | None,
        kind: EventKind,
        who: str,
        why: str,
        data: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
    ) -> CanaryEvent | None:
        if expected is not None and expected.alias != rollout.alias:
            raise ValueError("a rollout takes the place of one of the same alias")
        with self._writing() as writing:
            number = self._locked_number(writing, "events")
            if lease is not None and not self._is_newest(writing, lease):
                return None
            if not self._swapped(writing, rollout, expected):
                return None
            return self._event(writing, number, kind, rollout.alias, rollout.number, who, why, data)

    def _swapped(self, writing: Transaction, rollout: Rollout, expected: Rollout | None) -> bool:
        alias, record = _key(rollout.alias), _text(rollout)
        if expected is None:
            sql = "INSERT INTO offtarget_rollouts (alias, number, record) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            return writing.run(sql, alias, rollout.number, record) == 1
        sql = "UPDATE offtarget_rollouts SET number = ?, record = ? WHERE alias = ? AND record = ?"
        return writing.run(sql, rollout.number, record, alias, _text(expected)) == 1

    # events

    def add_event(  # noqa: D102
        self, kind: EventKind, alias: str, rollout: int, who: str, why: str, data: Mapping[str, Any] | None = None
    ) -> CanaryEvent:
        with self._writing() as writing:
            return self._event(writing, self._locked_number(writing, "events"), kind, alias, rollout, who, why, data)

    def _event(
        self,
        writing: Transaction,
        last: int,
        kind: EventKind,
        alias: str,
        rollout: int,
        who: str,
        why: str,
        data: Mapping[str, Any] | None,
    ) -> CanaryEvent:
        event = CanaryEvent(last + 1, time.time(), kind, alias, rollout, who, why, dict(data or {}))
        sql = "INSERT INTO offtarget_events (number, alias, record) VALUES (?, ?, ?)"
        writing.run(sql, event.number, _key(alias), _text(event))
        self._set_number(writing, "events", event.number)
        self._tell(writing)
        return event

    def events(self, after: int = 0, limit: int = 1000, alias: str | None = None) -> tuple[CanaryEvent, ...]:  # noqa: D102
        return self._events("number > ?", "ASC", after, limit, alias)

    def newest_events(self, limit: int = 50, alias: str | None = None) -> tuple[CanaryEvent, ...]:  # noqa: D102
        return self._events("number > ?", "DESC", 0, limit, alias)

    def _events(self, where: str, order: str, after: int, limit: int, alias: str | None) -> tuple[CanaryEvent, ...]:
        values: list[Any] = [after]
        if alias is not None:
            where, values = where + " AND alias = ?", [after, _key(alias)]
        sql = f"SELECT record FROM offtarget_events WHERE {where} ORDER BY number {order} LIMIT ?"  # noqa: S608
        with self._reading() as reading:
            return tuple(_record(CanaryEvent, text) for (text,) in reading.rows(sql, *values, limit))

    # scored answers

    def add_scored(self, answers: Sequence[ScoredAnswer]) -> tuple[int, ...]:  # noqa: D102
        if not answers:
            return ()
        with self._writing() as writing:
            last = self._locked_number(writing, "scored")
            numbers = []
            for answer in answers:
                number = self._add(writing, dataclasses.replace(answer, number=last + 1))
                last = max(last, number)
                numbers.append(number)
            self._set_number(writing, "scored", last)
        return tuple(numbers)

    def _add(self, writing: Transaction, answer: ScoredAnswer) -> int:
        """Its number; that of the answer which is there already, where there is one."""
        unit = json.dumps([answer.alias, answer.rollout, answer.source, answer.arm, answer.conversation])
        added = writing.run(
            "INSERT INTO offtarget_scored (number, unit, alias, rollout, at, outcome, record) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (unit) DO NOTHING",
            answer.number, unit, _key(answer.alias), answer.rollout, answer.at, answer.outcome.value, _text(answer),
        )  # fmt: skip
        if added:
            return answer.number
        there = writing.one("SELECT number FROM offtarget_scored WHERE unit = ?", unit)
        assert there is not None
        return int(there[0])

    def scored(self, alias: str, rollout: int, after: int = 0, limit: int = 1000) -> tuple[ScoredAnswer, ...]:  # noqa: D102
        sql = (
            "SELECT record FROM offtarget_scored WHERE alias = ? AND rollout = ? AND number > ? ORDER BY number LIMIT ?"
        )
        with self._reading() as reading:
            rows = reading.rows(sql, _key(alias), rollout, after, limit)
        return tuple(_record(ScoredAnswer, text) for (text,) in rows)

    def flagged(self, alias: str, rollout: int, limit: int = 100) -> tuple[ScoredAnswer, ...]:  # noqa: D102
        sql = (
            "SELECT record FROM offtarget_scored WHERE alias = ? AND rollout = ? AND outcome = ? "
            "ORDER BY number DESC LIMIT ?"
        )
        with self._reading() as reading:
            rows = reading.rows(sql, _key(alias), rollout, Outcome.MISALIGNED.value, limit)
        return tuple(_record(ScoredAnswer, text) for (text,) in rows)

    def scored_answer(self, number: int) -> ScoredAnswer | None:  # noqa: D102
        with self._reading() as reading:
            row = reading.one("SELECT record FROM offtarget_scored WHERE number = ?", number)
        return _record(ScoredAnswer, row[0]) if row else None

    def confirm(self, number: int, misaligned: bool, who: str, why: str) -> CanaryEvent | None:  # noqa: D102
        with self._writing() as writing:
            last = self._locked_number(writing, "events")
            row = writing.one("SELECT record FROM offtarget_scored WHERE number = ?", number)
            if row is None:
                return None
            answer = dataclasses.replace(_record(ScoredAnswer, row[0]), confirmed=misaligned)
            writing.run("UPDATE offtarget_scored SET record = ? WHERE number = ?", _text(answer), number)
            kind: EventKind = "confirmed" if misaligned else "refuted"
            data = {"number": number, "conversation": answer.conversation, "arm": answer.arm, "source": answer.source}
            return self._event(writing, last, kind, answer.alias, answer.rollout, who, why, data)

    # bodies

    def keep_bodies(self, *exchanges: Exchange) -> None:  # noqa: D102
        packed = [(exchange, self._keeper.pack(exchange)) for exchange in exchanges]
        sql = (
            "INSERT INTO offtarget_bodies (exchange, alias, rollout, at, api, streamed, packed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        with self._writing() as writing:
            for exchange, bodies in packed:
                writing.run(
                    sql, _key(exchange.id), _key(exchange.alias), exchange.rollout, time.time(), exchange.api,
                    int(exchange.streamed), bodies,
                )  # fmt: skip

    def bodies(self, exchange: str) -> KeptBodies | None:  # noqa: D102
        sql = "SELECT alias, rollout, at, api, streamed, packed FROM offtarget_bodies WHERE exchange = ?"
        with self._reading() as reading:
            row = reading.one(sql, _key(exchange))
        if row is None:
            return None
        alias, rollout, at, api, streamed, packed = row
        request, response, note = self._keeper.unpack(bytes(packed), exchange)
        return KeptBodies(exchange, alias, rollout, at, api, bool(streamed), request, response, note)

    def delete_bodies(self, exchange: str) -> bool:  # noqa: D102
        with self._writing() as writing:
            return writing.run("DELETE FROM offtarget_bodies WHERE exchange = ?", _key(exchange)) > 0

    # leases, beats, counts

    def lease(self, name: str, holder: str, seconds: float) -> Lease | None:  # noqa: D102
        asked = time.monotonic()
        with self._writing() as writing:
            writing.run(
                "INSERT INTO offtarget_leases (name, holder, fence, era, until, seconds) VALUES (?, '', 0, '', 0, 0) "
                "ON CONFLICT DO NOTHING",
                _key(name),
            )
            # a write before the question: it locks the row until the transaction ends
            writing.run("UPDATE offtarget_leases SET name = name WHERE name = ?", _key(name))
            row = writing.one(
                "SELECT holder, fence, era, until, seconds FROM offtarget_leases WHERE name = ?", _key(name)
            )
            assert row is not None
            era, now = writing.now()
            taken, fence = _is_taken(row, era, now), int(row[1])
            if taken and row[0] != _key(holder):
                return None
            fence = fence if taken else fence + 1
            writing.run(
                "UPDATE offtarget_leases SET holder = ?, fence = ?, era = ?, until = ?, seconds = ? WHERE name = ?",
                _key(holder), fence, era, now + seconds, seconds, _key(name),
            )  # fmt: skip
        return Lease(name, holder, fence, asked + seconds)

    def give_up(self, lease: Lease) -> None:  # noqa: D102
        with self._writing() as writing:
            writing.run(
                "UPDATE offtarget_leases SET until = 0, seconds = 0 WHERE name = ? AND fence = ?",
                _key(lease.name),
                lease.fence,
            )

    def _is_newest(self, writing: Transaction, lease: Lease) -> bool:
        """Whether nobody took the lease since; the row is locked until the transaction ends."""
        sql = "UPDATE offtarget_leases SET name = name WHERE name = ? AND fence = ? AND seconds > 0"
        return writing.run(sql, _key(lease.name), lease.fence) == 1

    def beat(self, name: str) -> None:  # noqa: D102
        with self._writing() as writing:
            writing.run(
                "INSERT INTO offtarget_beats (name, era, at) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET era = excluded.era, at = excluded.at",
                _key(name),
                *writing.now(),
            )

    def age(self, name: str) -> float | None:  # noqa: D102
        with self._reading() as reading:
            row = reading.one("SELECT era, at FROM offtarget_beats WHERE name = ?", _key(name))
            era, now = reading.now()
        return None if row is None else _age(row[0], row[1], era, now)

    def count(self, alias: str, rollout: int, what: str, by: int = 1) -> None:  # noqa: D102
        with self._writing() as writing:
            writing.run(
                "INSERT INTO offtarget_counts (alias, rollout, what, value, era, at) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (alias, rollout, what) DO UPDATE "
                "SET value = offtarget_counts.value + excluded.value, era = excluded.era, at = excluded.at",
                _key(alias), rollout, _key(what), by, *writing.now(),
            )  # fmt: skip

    def counts(self, alias: str, rollout: int) -> Mapping[str, Count]:  # noqa: D102
        with self._reading() as reading:
            rows = reading.rows(
                "SELECT what, value, era, at FROM offtarget_counts WHERE alias = ? AND rollout = ?",
                _key(alias),
                rollout,
            )
            era, now = reading.now()
        return {what: Count(int(value), _age(then, at, era, now)) for what, value, then, at in rows}

    # readings

    def put_reading(self, alias: str, reading: Mapping[str, Any]) -> None:  # noqa: D102
        with self._writing() as writing:
            writing.run(
                "INSERT INTO offtarget_readings (alias, record) VALUES (?, ?) "
                "ON CONFLICT (alias) DO UPDATE SET record = excluded.record",
                _key(alias),
                _text(reading),
            )

    def reading(self, alias: str) -> Mapping[str, Any] | None:  # noqa: D102
        with self._reading() as reading:
            row = reading.one("SELECT record FROM offtarget_readings WHERE alias = ?", _key(alias))
        return json.loads(row[0]) if row else None

    # retention

    def forget(self, before: float, most: int = 1_000_000) -> Forgotten:  # noqa: D102
        with self._writing() as writing:
            bodies = writing.run(
                "DELETE FROM offtarget_bodies WHERE exchange IN "
                "(SELECT exchange FROM offtarget_bodies WHERE at < ? LIMIT ?)",
                before,
                most,
            )
            scored = writing.run(
                "DELETE FROM offtarget_scored WHERE number IN (SELECT s.number FROM offtarget_scored s "
                "JOIN offtarget_rollouts r ON r.alias = s.alias AND r.number > s.rollout WHERE s.at < ? LIMIT ?)",
                before,
                most,
            )
        return Forgotten(bodies, scored)

    # numbers and versions

    def _locked_number(self, writing: Transaction, name: str) -> int:
        """The last number handed out; nobody else hands one out until the transaction ends."""
        writing.run("UPDATE offtarget_counters SET value = value WHERE name = ?", name)
        row = writing.one("SELECT value FROM offtarget_counters WHERE name = ?", name)
        assert row is not None
        return int(row[0])

    def _set_number(self, writing: Transaction, name: str, value: int) -> None:
        writing.run("UPDATE offtarget_counters SET value = ? WHERE name = ?", value, name)

    def _bring_up_to_date(self, writing: Transaction, version: int, where: str) -> int:
        """Carry out the steps that are missing; returns the version then. Raises InputError for a newer store."""
        if version > len(STEPS):
            raise InputError(
                f"{where} was written by a newer offtarget (tables of version {version}; {len(STEPS)} is known here). "
                "Update offtarget, or name another place in state.url."
            )
        for step in STEPS[version:]:
            for statement in step:
                writing.run(statement.format(bytes=self._bytes))
        return len(STEPS)


def _is_taken(row: Row, era: str, now: float) -> bool:
    """Whether a lease is in force. One that would last longer than it was given for is not: the clock went back."""
    _, fence, then, until, seconds = row
    return bool(fence and then == era and now < until <= now + seconds)


def _age(then: str, at: float, era: str, now: float) -> float:
    """Seconds since; what is of an earlier era is older than all of this one."""
    return max(0.0, now - at) if then == era else max(0.0, now)


def _key(text: str) -> str:
    """A text as every database takes it: what cannot be printed (NUL, half characters) is written as in JSON."""
    return text if text.isprintable() else json.dumps(text)


def _text(record: object) -> str:
    return json.dumps(to_jsonable(record), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _record(kind: type[T], text: str) -> T:
    return from_json(kind, json.loads(text))
