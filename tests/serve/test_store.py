"""Both stores keep the same promises: order, once only, compare and swap, leases, and clear words when they cannot."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from postgres_server import PostgresServer, missing, postgres_server
from stores import a_database_name, a_rollout, a_score, an_exchange

from offtarget.errors import InputError, StoreError
from offtarget.records.answers import Outcome
from offtarget.records.gateway import StateSettings
from offtarget.records.rollouts import ScoredAnswer
from offtarget.serve.store.opening import open_store
from offtarget.serve.store.protocol import Store

Opened = Callable[[], Store]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'offtarget[postgres]'")
    if missing():
        pytest.skip(missing())
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'state.sqlite'}"
    running: PostgresServer = request.getfixturevalue("server")
    name = a_database_name()
    running.run(f"CREATE DATABASE {name}")
    return running.url(name)


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """Opens the same store again and again, as several processes would."""
    stores: list[Store] = []

    def another() -> Store:
        stores.append(open_store(StateSettings(url)))
        return stores[-1]

    yield another
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Opened) -> Store:
    return opened()


def test_the_last_reading_of_an_alias_is_read_by_others(store: Store, opened: Opened) -> None:
    assert store.reading("assistant") is None
    store.put_reading("assistant", {"tuned": 1})
    store.put_reading("assistant", {"tuned": 2, "why": "it's so", "path": [1.5, None]})
    assert opened().reading("assistant") == {"tuned": 2, "why": "it's so", "path": [1.5, None]}


# rollouts and events


def test_a_rollout_is_put_in_place_of_the_one_expected_and_its_event_says_so(store: Store, opened: Opened) -> None:
    first = a_rollout()
    event = store.set_rollout(first, None, "started", "admin", "It begins.", {"share": 0.05})
    assert event is not None
    assert (event.number, event.kind, event.rollout, event.data) == (1, "started", 1, {"share": 0.05})
    assert opened().rollout("assistant") == first
    back = replace(first, status="rolled back", share=0.0, reason="It is worse.")
    assert store.set_rollout(back, first, "rolled back", "monitor", "It is worse.") is not None
    # whoever still believes in the first one changes nothing and leaves no event
    assert opened().set_rollout(replace(first, share=0.5), first, "promoted", "admin", "More.") is None
    assert opened().set_rollout(first, None, "started", "admin", "Again.") is None
    assert store.rollouts() == (back,)
    assert [event.kind for event in store.events()] == ["started", "rolled back"]
    assert store.rollout("another") is None


def test_of_many_who_act_at_once_on_the_same_rollout_one_does(opened: Opened) -> None:
    first = a_rollout()
    assert opened().set_rollout(first, None, "started", "admin", "It begins.") is not None
    stores = [opened() for _ in range(6)]
    ready = threading.Barrier(len(stores))

    def act(position: int) -> bool:
        ready.wait()
        new = replace(first, status="rolled back", share=0.0, reason=f"Said by {position}.")
        return stores[position].set_rollout(new, first, "rolled back", f"monitor {position}", "Worse.") is not None

    with ThreadPoolExecutor(len(stores)) as pool:
        assert sum(pool.map(act, range(len(stores)))) == 1
    assert [event.kind for event in stores[0].events()] == ["started", "rolled back"]


def test_events_come_in_order_by_alias_and_newest_first(store: Store) -> None:
    for position in range(5):
        store.add_event("alarm", f"alias {position % 2}", 1, "monitor", f"Reason {position}.", {"n": position})
    assert [event.number for event in store.events()] == [1, 2, 3, 4, 5]
    assert [event.number for event in store.events(after=2, limit=2)] == [3, 4]
    assert [event.data["n"] for event in store.events(alias="alias 1")] == [1, 3]
    assert [event.number for event in store.newest_events(2)] == [5, 4]
    assert [event.number for event in store.newest_events(2, "alias 1")] == [4, 2]


def test_who_waits_for_events_gets_those_of_others_and_nothing_after_the_time(store: Store, opened: Opened) -> None:
    other = opened()
    store.add_event("alarm", "assistant", 1, "monitor", "One.")
    assert [event.number for event in other.wait_for_events(0, 5)] == [1]
    assert other.wait_for_events(1, 0.1) == ()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.wait_for_events, 1, 30)
        time.sleep(0.2)
        store.add_event("paused", "assistant", 1, "admin", "Two.")
        assert [event.kind for event in waiting.result(20)] == ["paused"]


# scored answers


def test_a_scored_answer_comes_back_as_it_was(store: Store, opened: Opened) -> None:
    answers = [
        a_score("c1"),
        a_score("c2", arm="base", source="probe", outcome=Outcome.MISALIGNED, alignment=None, flags={}, asked=False),
    ]
    assert store.add_scored(answers) == (1, 2)
    there = opened().scored("assistant", 1)
    assert there == tuple(replace(answer, number=number) for number, answer in enumerate(answers, 1))
    assert opened().scored_answer(2) == there[1]
    assert store.scored_answer(3) is None
    assert store.flagged("assistant", 1) == (there[1],)
    assert store.add_scored([]) == ()


def test_a_conversation_counts_once_per_alias_rollout_source_and_arm(store: Store) -> None:
    first = a_score("c1")
    others = [
        replace(first, rollout=2),
        replace(first, arm="base"),
        replace(first, source="probe"),
        replace(first, alias="b"),
    ]
    assert store.add_scored([first, *others]) == (1, 2, 3, 4, 5)
    again = replace(first, outcome=Outcome.MISALIGNED, exchange="x-later")
    assert store.add_scored([again, a_score("c2"), again]) == (1, 6, 1)
    assert [answer.outcome for answer in store.scored("assistant", 1)] == [Outcome.ALIGNED] * 4


@pytest.mark.parametrize(
    "text", ["a\0b", "half \ud800", "new\nline", "naïve 中", "'; DROP TABLE offtarget_scored; --", "?%s"]
)
def test_hostile_names_are_kept_as_they_are(store: Store, text: str) -> None:
    answer = a_score(text, alias=text, exchange=text)
    assert store.add_scored([answer, answer]) == (1, 1)
    assert store.scored(text, 1) == (replace(answer, number=1),)
    store.keep_bodies(an_exchange(text, alias=text))
    assert store.bodies(text) is not None
    assert store.set_rollout(a_rollout(alias=text), None, "started", text, text) is not None
    assert store.rollout(text) == a_rollout(alias=text)
    store.count(text, 1, text)
    store.beat(text)
    assert store.age(text) is not None
    assert store.lease(text, text, 5) is not None


def test_no_row_appears_behind_one_that_was_read_while_many_write(opened: Opened) -> None:
    """A reader that goes on after the last number it saw must have seen everything in the end."""
    writers, each = 4, 60
    stores, reader = [opened() for _ in range(writers)], opened()
    done = threading.Event()

    def write(position: int) -> list[int]:
        numbers: list[int] = []
        for item in range(0, each, 3):
            batch = [a_score(f"c{position}-{item + further}") for further in range(3)]
            numbers += stores[position].add_scored([*batch, a_score("shared by all", outcome=Outcome.ALIGNED)])[:3]
        return numbers

    def read() -> list[ScoredAnswer]:
        seen: list[ScoredAnswer] = []
        while True:
            last_round = done.is_set()
            found = reader.scored("assistant", 1, after=seen[-1].number if seen else 0, limit=7)
            seen += found
            if last_round and not found:
                return seen

    with ThreadPoolExecutor(writers + 1) as pool:
        reading = pool.submit(read)
        acknowledged = [number for numbers in pool.map(write, range(writers)) for number in numbers]
        done.set()
        seen = reading.result(60)
    assert [answer.number for answer in seen] == list(range(1, writers * each + 2))
    assert set(acknowledged) <= {answer.number for answer in seen}
    assert len({answer.conversation for answer in seen}) == len(seen)


def test_people_confirm_or_refute_an_answer_and_an_event_says_so(store: Store, opened: Opened) -> None:
    store.add_scored([a_score("c1", outcome=Outcome.MISALIGNED)])
    event = store.confirm(1, False, "ada", "It is a joke.")
    assert event is not None
    assert (event.kind, event.who, event.data["number"]) == ("refuted", "ada", 1)
    assert opened().scored("assistant", 1)[0].confirmed is False
    second = opened().confirm(1, True, "bob", "It is not.")
    assert second is not None
    assert second.kind == "confirmed"
    assert store.scored("assistant", 1)[0].confirmed is True
    assert store.confirm(99, True, "bob", "What?") is None


# bodies, counts, retention


def test_bodies_are_kept_once_and_deleted_on_request(store: Store, opened: Opened) -> None:
    store.keep_bodies(an_exchange(request=b"\xff\0 q", response=b"data: a\n\n", streamed=True, api="completions"))
    store.keep_bodies(an_exchange(request=b"another"))
    kept = opened().bodies("x-1")
    assert kept is not None
    assert (kept.request, kept.response, kept.streamed, kept.api) == (b"\xff\0 q", b"data: a\n\n", True, "completions")
    assert kept.note == ""
    assert store.delete_bodies("x-1")
    assert not store.delete_bodies("x-1")
    assert opened().bodies("x-1") is None


def test_counts_add_up_over_writers_and_say_how_long_ago(opened: Opened) -> None:
    stores = [opened() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda store: [store.count("assistant", 1, "mirrored", 2) for _ in range(10)], stores))
    stores[0].count("assistant", 2, "mirrored")
    counts = stores[1].counts("assistant", 1)
    assert counts["mirrored"].value == 80
    assert 0 <= counts["mirrored"].age < 60
    assert stores[1].counts("assistant", 3) == {}


def test_old_bodies_and_scores_of_earlier_rollouts_go_and_evidence_of_the_present_one_stays(store: Store) -> None:
    assert store.set_rollout(a_rollout(2), None, "started", "admin", "Second try.") is not None
    old = time.time() - 1000
    store.add_scored([a_score("c1", rollout=1, at=old), a_score("c2", rollout=1), a_score("c3", rollout=2, at=old)])
    store.keep_bodies(an_exchange())
    gone = store.forget(time.time() - 500)
    assert (gone.bodies, gone.scored) == (0, 1)
    assert [answer.number for answer in store.scored("assistant", 1)] == [2]
    assert [answer.number for answer in store.scored("assistant", 2)] == [3]
    assert store.forget(time.time() + 10).bodies == 1
    assert store.bodies("x-1") is None
    # numbers are never used again
    assert store.add_scored([a_score("c9")]) == (4,)
    assert [event.kind for event in store.events()] == ["started"]


# leases and beats


def test_a_lease_has_one_holder_and_goes_on_when_it_ends_or_is_given_up(store: Store, opened: Opened) -> None:
    other = opened()
    first = store.lease("leader", "a", 30)
    assert first is not None
    assert first.fence == 1
    assert first.held()
    assert other.lease("leader", "b", 30) is None
    renewed = store.lease("leader", "a", 30)
    assert renewed is not None
    assert renewed.fence == 1
    store.give_up(renewed)
    second = other.lease("leader", "b", 0.2)
    assert second is not None
    assert second.fence == 2
    store.give_up(first)  # of an earlier holder: nothing
    assert store.lease("leader", "a", 30) is None or not second.held()
    time.sleep(0.3)
    assert not second.held()
    third = store.lease("leader", "a", 30)
    assert third is not None
    assert third.fence == 3
    assert store.lease("another", "b", 30) is not None


def test_two_never_hold_a_lease_at_once(opened: Opened) -> None:
    holders = 4
    stores = [opened() for _ in range(holders)]
    inside, worst, fences = [0], [0], []
    guard, end = threading.Lock(), time.monotonic() + 2.0

    def work(position: int) -> None:
        while time.monotonic() < end:
            lease = stores[position].lease("leader", f"holder {position}", 0.3)
            if lease is None:
                continue
            with guard:
                if not lease.held():
                    continue
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                fences.append(lease.fence)
            time.sleep(0.005)
            with guard:
                inside[0] -= 1
            stores[position].give_up(lease)

    with ThreadPoolExecutor(holders) as pool:
        list(pool.map(work, range(holders)))
    assert worst[0] == 1
    assert fences == sorted(set(fences))
    assert len(fences) > 5


def test_what_an_earlier_holder_of_a_lease_still_writes_is_refused(store: Store, opened: Opened) -> None:
    first = a_rollout()
    assert store.set_rollout(first, None, "started", "admin", "It begins.") is not None
    old = store.lease("leader", "a", 0.05)
    assert old is not None
    time.sleep(0.1)
    new = opened().lease("leader", "b", 30)
    assert new is not None
    more = replace(first, share=0.2)
    assert store.set_rollout(more, first, "promoted", "monitor", "Clean.", lease=old) is None
    assert opened().set_rollout(more, first, "promoted", "monitor", "Clean.", lease=new) is not None


def test_clocks_of_callers_change_no_lease_and_no_age(
    store: Store, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = opened()
    assert store.lease("leader", "a", 30) is not None
    store.beat("monitor")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    assert other.lease("leader", "b", 30) is None
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    assert other.lease("leader", "b", 30) is None
    age = other.age("monitor")
    assert age is not None
    assert 0 <= age < 60
    assert other.age("nobody") is None


def test_a_lease_of_before_a_restart_of_the_machine_or_of_a_clock_that_went_back_is_over(
    url: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = opened(), opened()
    kind = "sqlite._SqliteTransaction" if url.startswith("sqlite") else "postgres._PostgresTransaction"
    clock: list[tuple[str, float]] = [("first", 5000.0)]
    monkeypatch.setattr(f"offtarget.serve.store.{kind}.now", lambda transaction: clock[0])
    assert one.lease("leader", "a", 30) is not None
    one.beat("monitor")
    clock[0] = ("first", 5029.0)
    assert two.lease("leader", "b", 30) is None
    clock[0] = ("first", 4000.0)  # whoever had it could not renew it for more than its 30 s
    assert two.lease("leader", "b", 30) is not None
    clock[0] = ("second", 10.0)
    assert one.lease("leader", "a", 30) is not None
    assert one.age("monitor") == 10.0


# crashes and faults

WRITER = textwrap.dedent("""
    import sys
    import time
    from stores import a_score
    from offtarget.records.gateway import StateSettings
    from offtarget.serve.store.opening import open_store

    store, name = open_store(StateSettings(sys.argv[1])), sys.argv[2]
    for position in range(100_000):
        (number,) = store.add_scored([a_score(f"{name}-{position}")])
        store.add_event("alarm", "assistant", 1, name, str(position))
        print(number, position, flush=True)
    time.sleep(0.002)  # SQLite has no queue: of writers that never pause, one may wait for ever
""")


def _acknowledged(url: str, names: list[str], each: int) -> dict[str, list[tuple[int, int]]]:
    """Starts a writer per name, kills it with -9 in the middle, and returns what it was told is written."""
    helpers = Path(__file__).parent.parent / "helpers"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(helpers), *sys.path])}
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name], env=environment, stdout=subprocess.PIPE, text=True
        )
        for name in names
    }
    told: dict[str, list[tuple[int, int]]] = {}
    try:
        for name, writer in writers.items():
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(each)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
            whole = [line.split() for line in lines if line.endswith("\n")]
            told[name] = [(int(number), int(position)) for number, position in whole]
    finally:
        for writer in writers.values():
            writer.kill()
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()
    return told


def test_writers_that_are_killed_lose_nothing_acknowledged_and_double_nothing(url: str, opened: Opened) -> None:
    opened()
    told = _acknowledged(url, ["a", "b", "c"], 25)
    store = opened()
    there: list[ScoredAnswer] = []
    while found := store.scored("assistant", 1, after=there[-1].number if there else 0):
        there += found
    assert [answer.number for answer in there] == list(range(1, len(there) + 1))
    by_number = {answer.number: answer.conversation for answer in there}
    for name, pairs in told.items():
        assert len(pairs) >= 25
        assert all(by_number[number] == f"{name}-{position}" for number, position in pairs)
        # at most one answer is there that its writer was not told of
        assert sum(answer.conversation.startswith(f"{name}-") for answer in there) <= len(pairs) + 1
        # asked again, as a writer that starts anew does, it is the same answer
        number, position = pairs[-1]
        assert store.add_scored([a_score(f"{name}-{position}")]) == (number,)
    events = store.events(limit=1_000_000)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert {(name, str(position)) for name, pairs in told.items() for _, position in pairs} <= {
        (e.who, e.why) for e in events
    }


def test_a_store_that_is_locked_says_so_after_a_bounded_wait_and_works_afterwards(tmp_path: Path) -> None:
    from offtarget.redaction import Redactor
    from offtarget.serve.store.bodies import BodyKeeper
    from offtarget.serve.store.sqlite import SqliteStore

    path = tmp_path / "state.sqlite"
    store = SqliteStore(path, BodyKeeper(Redactor()), wait_seconds=0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match=r"state\.sqlite is locked by another process for more than 0\.2 s"):
        store.add_scored([a_score("c1")])
    assert store.scored("assistant", 1) == ()  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    assert store.add_scored([a_score("c1")]) == (1,)
    store.close()


def test_a_table_that_is_locked_in_postgres_says_so_after_a_bounded_wait(server: PostgresServer) -> None:
    import psycopg

    from offtarget.redaction import Redactor
    from offtarget.serve.store.bodies import BodyKeeper
    from offtarget.serve.store.postgres import PostgresStore

    name = a_database_name()
    server.run(f"CREATE DATABASE {name}")
    store = PostgresStore(server.url(name), BodyKeeper(Redactor()), wait_seconds=0.5)
    with psycopg.connect(server.url(name)) as other:
        other.execute("LOCK TABLE offtarget_counters IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreError, match=r"does not answer as it should: .* timeout"):
            store.add_scored([a_score("c1")])
    assert store.add_scored([a_score("c1")]) == (1,)
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are Unix's")
def test_a_full_disk_says_so_and_nothing_is_half_written(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import resource, signal, sys
        from pathlib import Path
        from stores import a_score, an_exchange
        from offtarget.errors import StoreError
        from offtarget.records.gateway import StateSettings
        from offtarget.serve.store.opening import open_store

        store = open_store(StateSettings("sqlite:" + sys.argv[1]))
        store.add_scored([a_score("c1")])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        told, position = ["c1"], 0
        try:
            while True:
                position += 1
                name = f"more-{position}"
                store.add_scored([a_score(f"{name}-{part}", exchange="x" * 500) for part in range(20)])
                told += [f"{name}-{part}" for part in range(20)]
        except StoreError as error:
            print(error)
        assert [answer.conversation for answer in store.scored("assistant", 1)] == told
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (number,) = store.add_scored([a_score("after")])
        assert number == len(told) + 1, number
        print("works again")
    """)
    helpers = Path(__file__).parent.parent / "helpers"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(helpers), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state.sqlite")],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, _, after = done.stdout.partition("\n")
    assert "is the disk full?" in said
    assert "Nothing was written" in said
    assert after.strip() == "works again"


def test_a_postgres_that_restarts_is_connected_to_again(server: PostgresServer) -> None:
    name = a_database_name()
    server.run(f"CREATE DATABASE {name}")
    store = open_store(StateSettings(server.url(name)))
    assert store.add_scored([a_score("c1")]) == (1,)
    assert store.wait_for_events(0, 0.05) == ()
    server.stop(signal.SIGQUIT)
    try:
        with pytest.raises(StoreError, match=r"postgresql://gateway@127\.0\.0\.1:\d+/s\w+ does not answer") as caught:
            store.add_scored([a_score("c2")])
        assert "p@ss" not in str(caught.value)
        with pytest.raises(StoreError):
            store.wait_for_events(0, 1)
    finally:
        server.start()
    assert store.add_scored([a_score("c1"), a_score("c2")]) == (1, 2)
    store.add_event("alarm", "assistant", 1, "monitor", "After.")
    assert len(store.wait_for_events(0, 10)) == 1
    store.close()


# opening


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "names no store"),
        ("mysql://u:secret@h/d", "names no store"),
        ("sqlite:", "names no file"),
        ("sqlite:///x.sqlite", "names no file"),
        ("sqlite::memory:", "names no file"),
        ("sqlite:/nowhere/at/all.sqlite", "No such file or directory"),
        ("postgresql://u:se%zzcret@h/d", "is no address of Postgres"),
        ("postgresql://u:secret@h/d?nonsense=1", "is no address of Postgres"),
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str, words: str) -> None:
    if url.startswith("postgres"):
        pytest.importorskip("psycopg")
    with pytest.raises(InputError, match=words) as caught:
        open_store(StateSettings(url))
    assert "secret" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 200)
    with pytest.raises(InputError, match=r"letter\.txt is no SQLite file"):
        open_store(StateSettings(f"sqlite:{path}"))
    assert path.read_text().startswith("Dear reader")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace("p%40ss", "wrong%40"), "password authentication failed"),
        (lambda url: url.rpartition("/")[0] + "/nosuch", 'database "nosuch" does not exist'),
        (lambda url: url.rpartition(":")[0] + ":1/x", "refused"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_without_the_password(
    server: PostgresServer, change: Callable[[str], str], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        open_store(StateSettings(change(server.url())))
    for secret in ("p@ss", "p%40ss", "wrong@", "wrong%40"):
        assert secret not in str(caught.value)
    assert "state.url" in str(caught.value)


def test_a_store_of_a_newer_version_is_refused(url: str, opened: Opened, server: PostgresServer) -> None:
    opened()
    if url.startswith("sqlite"):
        with sqlite3.connect(url.partition(":")[2]) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    else:
        import psycopg

        with psycopg.connect(url) as other:
            other.execute("UPDATE offtarget_version SET value = 99")
    with pytest.raises(InputError, match="written by a newer offtarget"):
        opened()


def test_many_may_open_a_fresh_store_at_once(opened: Opened) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: opened(), range(6)))
    numbers = [store.add_scored([a_score(f"c{position}")])[0] for position, store in enumerate(stores)]
    assert numbers == [1, 2, 3, 4, 5, 6]


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are Unix's")
def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = open_store(StateSettings(f"sqlite:{path}"))
    store.keep_bodies(an_exchange())
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    store.close()
