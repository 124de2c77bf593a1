"""How many requests a server gets at a time, and calls in threads that nobody waits for."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate

import pytest

from offtarget.models.connections import LONGEST_PAUSE, Connections, Tries, pause_before, wished
from offtarget.threads import Calls, GivenUp, given_up, pause, side_by_side


def test_one_round_of_refusals_halves_once() -> None:
    """Of 64 requests 54 are refused: 32 at a time, not one; the next round halves again."""
    places = Connections(64)
    with places.place() as begun:
        pass
    for _ in range(54):
        places.too_many(begun, None)
    assert places.now == 32
    with places.place() as begun:
        pass
    places.too_many(begun, None)
    assert places.now == 16


def test_calm_brings_one_more_at_a_time_up_to_what_was_set() -> None:
    places = Connections(2)
    with places.place() as begun:
        pass
    places.too_many(begun, None)
    assert places.now == 1
    for _ in range(50):
        places.passed()
    assert places.now == 2


def test_a_refusal_is_no_failure_while_anything_gets_through() -> None:
    """Without that it is one after so many tries, once the time of patience is over."""
    places, tries = Connections(4), Tries()
    for _ in range(20):
        places.passed()
        assert places.worth_another(tries, 2, 0.0)
    assert [places.worth_another(tries, 2, 0.0) for _ in range(3)] == [True, False, False]
    assert places.worth_another(tries, 2, 60.0)
    assert not places.worth_another(Tries(), 0, 60.0)


def test_the_wish_of_a_server_in_its_three_forms() -> None:
    assert wished({"retry-after": "3"}) == 3
    assert wished({"retry-after-ms": "250", "retry-after": "3"}) == 0.25
    in_a_minute = wished({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert in_a_minute is not None
    assert 55 < in_a_minute <= 60
    assert wished({}) is None
    assert wished({"retry-after": "soon"}) is None
    assert all(0.3 < pause_before(n) <= LONGEST_PAUSE for n in range(100))


def test_calls_come_back_as_they_end_and_results_in_order() -> None:
    calls = [lambda n=n: (time.sleep(0.05 * (3 - n)), n)[1] for n in range(3)]  # type: ignore[misc]
    assert side_by_side(3, calls) == [0, 1, 2]


def test_calls_within_calls_of_a_closed_one_are_given_up() -> None:
    """Ctrl-C in the caller reaches a request that waits for its next try, however deep it is."""
    ended: list[str] = []
    begun = threading.Semaphore(0)

    def inner() -> None:
        begun.release()
        try:
            pause(30)
        except GivenUp:
            ended.append("inner")
            raise

    def outer() -> None:
        try:
            side_by_side(2, [inner, inner])
        except GivenUp:
            ended.append("outer")

    with Calls[int, None](1) as calls:
        calls.start(0, outer)
        assert begun.acquire(timeout=5)
        assert begun.acquire(timeout=5)
    until = time.monotonic() + 5
    while len(ended) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(ended) == ["inner", "inner", "outer"]
    assert not given_up()


def test_what_a_call_raises_is_raised_where_it_is_asked_for() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        side_by_side(2, [fail, fail])
