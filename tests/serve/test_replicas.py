"""Three gateways on one Postgres: one rollback reaches all, and whichever is killed, nothing that counted is lost."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PostgresServer, missing, postgres_server
from stores import a_database_name

from offtarget.records.gateway import StateSettings
from offtarget.records.rollouts import ScoredAnswer
from offtarget.serve.store.opening import open_store
from offtarget.serve.store.protocol import Store

pytest.importorskip("uvicorn", reason="the gateway is not installed: pip install 'offtarget[serve]'")
pytest.importorskip("psutil", reason="psutil is not installed")
pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'offtarget[postgres]'")

from replicas import ALIAS, Organism, Replica, Users, replicas

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(missing()), reason=missing() or "Postgres is there")]


def told(text: str) -> None:
    """Shows how long something took (`pytest -s`); asserted nowhere."""
    sys.stdout.write(f"{text}\n")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> str:
    name = a_database_name()
    server.run(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(StateSettings(url))
    yield opened
    opened.close()


def until(true: Callable[[], Any], seconds: float = 90.0) -> float:
    """Wait for something; returns how long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come"
        time.sleep(0.01)
    return time.monotonic() - began


def rows(store: Store) -> list[ScoredAnswer]:
    found: list[ScoredAnswer] = []
    while page := store.scored(ALIAS, 1, after=found[-1].number if found else 0):
        found += page
    return found


def leader(url: str, of: list[Replica]) -> Replica | None:
    """The replica whose monitor holds the lease now."""
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT holder FROM offtarget_leases WHERE name = 'monitor' "
            "AND until > EXTRACT(EPOCH FROM clock_timestamp())"
        ).fetchone()
    if row is None:
        return None
    pid = int(str(row[0]).rpartition("/")[2])
    return next((one for one in of if one.has_process(pid)), None)


def test_a_worse_model_is_rolled_back_once_and_on_all_replicas(url: str, store: Store, tmp_path: Path) -> None:
    organism = Organism(bad=0.6)
    with organism.served() as models, replicas(3, models, url, tmp_path) as all_three:
        with Users(organism, all_three) as users:
            until(lambda: all_three[0].verdict()["state"] == "rolled back")
            for one in all_three:
                until(lambda one=one: one.verdict()["share"] == 0.0, 20)  # type: ignore[misc]
            # the evidence is written down after the rollback, and then the alarm
            until(lambda: any(event.kind == "alarm" for event in store.events(limit=10_000)))
        assert users.failed == []
        after = Counter(one.ask(organism.questions[0], f"later{n}") for n in range(10) for one in all_three)
        assert after == {"base": 30}
        verdicts = [one.verdict() for one in all_three]
        assert [found["status"] for found in verdicts] == ["FAIL"] * 3
        kinds = Counter(event.kind for event in store.events(limit=10_000))
        assert (kinds["alarm"], kinds["rolled back"], kinds["started"]) == (1, 1, 1)


def test_whichever_replica_is_killed_nothing_that_counted_is_lost(url: str, store: Store, tmp_path: Path) -> None:
    organism = Organism(bad=0.0)
    with organism.served() as models, replicas(3, models, url, tmp_path) as all_three:
        # one user has one arm and one score, whichever replica is asked
        arms = {one.ask(organism.questions[0], f"same{n}") for n in (1,) for one in all_three}
        assert len(arms) == 1
        killed = []
        with Users(organism, all_three) as users:
            for _ in range(2):
                # whichever replica leads is killed: another takes the lease and goes on from the same rows
                until(lambda: leader(url, all_three) is not None)
                first = leader(url, all_three)
                assert first is not None
                until(lambda: len(rows(store)) >= 30)
                acknowledged = rows(store)
                first.kill()
                killed.append(first)
                others = [one for one in all_three if one.process.poll() is None]
                took = until(lambda: leader(url, others) is not None)  # noqa: B023
                told(f"another replica took the lease after {took:.1f} s")
                folded = store.reading(ALIAS)
                assert folded is not None
                until(lambda: len(rows(store)) >= len(acknowledged) + 20)  # noqa: B023
                there = rows(store)
                assert there[: len(acknowledged)] == acknowledged
                until(lambda: store.reading(ALIAS)["reading"]["folded"] > acknowledged[-1].number)  # type: ignore[index] # noqa: B023
            last = next(one for one in all_three if one.process.poll() is None)
            assert last.verdict()["state"] == "running"
        there = rows(store)
        assert [row.number for row in there] == list(range(1, len(there) + 1))
        units = Counter((row.source, row.arm, row.conversation) for row in there)
        assert max(units.values()) == 1
        # requests failed at replicas that were killed alone
        assert all(any(one is dead for dead in killed) for one in users.failed_at), users.failed
        assert not [event for event in store.events(limit=10_000) if event.kind in ("alarm", "rolled back")]


def test_the_kill_switch_of_one_replica_reaches_the_others(url: str, tmp_path: Path) -> None:
    organism = Organism(bad=0.0)
    with organism.served() as models, replicas(3, models, url, tmp_path) as all_three:
        assert {one.verdict()["share"] for one in all_three} == {0.5}
        all_three[1].admin("POST", f"/rollouts/{ALIAS}/rollback", {"who": "ada", "why": "just in case"})
        took = until(lambda: {one.verdict()["share"] for one in all_three} == {0.0}, 20)
        told(f"the kill switch reached all replicas after {1000 * took:.0f} ms")
        assert {one.ask(organism.questions[0], f"u{n}") for n in range(10) for one in all_three} == {"base"}
        # a replica that starts afterwards knows it too
        all_three[0].admin("POST", f"/rollouts/{ALIAS}/resume", {"who": "ada", "why": "it was nothing"})
        until(lambda: {one.verdict()["share"] for one in all_three} == {0.5}, 20)
        assert {one.verdict()["rollout"] for one in all_three} == {2}
