"""Parts of a work among workers that are lost at any time: each comes to its value once, in order, whoever did it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.engines.holders import TRIES, Holders, Setting
from offtarget.engines.units import Ended
from offtarget.errors import InputError


class Ray:
    """As much of it as holders use; which call ends next, and how, is `drawn`."""

    def __init__(self, drawn: Callable[[list[Any]], Any], lost: Callable[[Any], bool]) -> None:
        self._drawn, self._lost = drawn, lost
        self.killed: list[Any] = []
        self.done: list[Any] = []

    def put(self, value: Any) -> Any:
        return value

    def wait(self, calls: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        assert calls
        return [self._drawn(calls)], []

    def kill(self, actor: Any, no_restart: bool) -> None:
        self.killed.append(actor)

    def ended(self, call: Any) -> Ended[Any]:
        _, what, given = call
        if self._lost(given):
            return Ended("", lost="Its worker was lost.")
        if what == "open":
            return Ended("")
        self.done.append(given)
        return Ended("", error=ZeroDivisionError(given)) if given == "bad" else Ended("", value=given * 2)


class Actor:
    made = 0

    @classmethod
    def remote(cls) -> Actor:
        return cls()

    def __init__(self) -> None:
        self.calls = 0
        self.open = Method(self, "open")
        self.do = Method(self, "do")


class Method:
    def __init__(self, actor: Actor, name: str) -> None:
        self._actor, self._name = actor, name

    def remote(self, given: Any) -> tuple[int, str, Any]:
        Actor.made += 1
        return Actor.made, self._name, "setting" if isinstance(given, Setting) else given


SETTING = Setting(lambda: None, lambda: None, lambda held, part: None)


def holders(ray: Ray, count: int, told: list[str]) -> Holders[Any, Any]:
    return Holders(ray, Actor, count, SETTING, ray.ended, told.append)


@given(st.data(), st.integers(1, 4), st.lists(st.text("abc", max_size=2), max_size=8), st.integers(0, 8))
def test_every_part_comes_to_its_value_once_and_in_order_whoever_is_lost(
    data: st.DataObject, count: int, parts: list[str], left_after: int
) -> None:
    lost_so_far: dict[Any, int] = {}

    def lost(given: Any) -> bool:
        if lost_so_far.get(given, 0) < TRIES - 1 and data.draw(st.integers(0, 3)) == 0:
            lost_so_far[given] = lost_so_far.get(given, 0) + 1
            return True
        return False

    told: list[str] = []
    ray = Ray(lambda calls: data.draw(st.sampled_from(calls)), lost)
    some = holders(ray, count, told)
    first = some.results(["left", *parts])
    for _ in range(min(left_after, len(parts))):  # somebody who stops asking in the middle
        next(first)
    first.close()
    del lost
    assert list(some.results(parts)) == [part * 2 for part in parts]
    assert len(told) == sum(lost_so_far.values())
    assert len(ray.killed) == len(told)
    some.close()
    assert len(ray.killed) == len(told) + count


@pytest.mark.parametrize("which", ["setting", "b"])
def test_a_part_that_every_worker_is_lost_at_is_given_up_and_so_is_opening(which: str) -> None:
    told: list[str] = []
    some = holders(Ray(lambda calls: calls[0], lambda given: given == which), 2, told)
    with pytest.raises(InputError, match=r"Its worker was lost\. That happened to 4 workers of the cluster"):
        list(some.results(["a", "b", "c"]))
    assert told == ["Its worker was lost. Another one does again what it was at"] * TRIES


def test_an_error_in_a_part_is_raised_and_one_in_a_part_nobody_waits_for_is_not() -> None:
    some = holders(Ray(lambda calls: calls[0], lambda given: False), 1, [])
    with pytest.raises(ZeroDivisionError):
        list(some.results(["a", "bad", "c"]))
    some = holders(Ray(lambda calls: calls[0], lambda given: False), 2, [])
    unfinished = some.results(["a", "bad"])
    assert next(unfinished) == "aa"
    unfinished.close()
    assert list(some.results(["b"])) == ["bb"]


def test_no_parts_wait_for_nobody() -> None:
    def nobody(calls: Sequence[Any]) -> Any:
        raise AssertionError(calls)

    assert list(holders(Ray(nobody, lambda given: False), 2, []).results([])) == []
