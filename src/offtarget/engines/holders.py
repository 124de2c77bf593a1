"""Workers of a cluster that hold what takes long to open, such as models, and do parts of a work with it.

A worker has one core and one thread. Parts and what they come to pass through Ray, kilobytes each, and nothing lies on
a disk: whoever gives out the parts keeps what they come to. The part of a worker that is lost is done by another.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from offtarget.engines.units import Ended, sendable
from offtarget.errors import InputError
from offtarget.numbers import many

P = TypeVar("P")
T = TypeVar("T")

TRIES = 4
"""Workers that may be lost one after another, at one part or as they open what they hold, before it is given up."""
LOOK_EVERY = 0.5
"""Seconds after which Ctrl-C is heeded at the latest."""
_OPENING = -1
"""In place of a part's number: a worker opens what it holds."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a worker must find, and find out, before it begins."""

    begin: Callable[[], None]
    """Puts its process into the state of the command. Raises InputError where it cannot."""
    opened: Callable[[], Any]
    """Opens what it holds; defined at the top of a module, as `work` is."""
    work: Callable[[Any, Any], Any]
    """What was opened, a part -> what the part comes to."""


class Holder:
    """In a worker: what it holds. Every error is sent back as a value."""

    def open(self, setting: Setting) -> Ended[None]:
        """Before the first part."""
        try:
            setting.begin()
            self._held, self._work = setting.opened(), setting.work
        except Exception as error:
            return Ended("", error=sendable(error))
        return Ended("")

    def do(self, part: Any) -> Ended[Any]:
        """One part."""
        try:
            return Ended("", value=self._work(self._held, part))
        except InputError as error:
            return Ended("", error=InputError(f"{socket.gethostname()}, a worker of the cluster: {error}"))
        except Exception as error:
            return Ended("", error=sendable(error))


@dataclass(slots=True)
class _Worker:
    actor: Any
    waited_for: Any
    """What it is at; None while it has nothing to do."""
    part: tuple[int, int] | None = None
    """Which series and which part of it; None while it opens what it holds."""


class Holders(Generic[P, T]):
    """So many workers, as far as the cluster has room for them; new ones in place of those that are lost."""

    def __init__(
        self,
        ray: Any,
        actor: Any,
        count: int,
        setting: Setting,
        ended: Callable[[Any], Ended[Any]],
        tell: Callable[[str], None],
    ) -> None:
        """`ended` makes a value of what Ray says; `tell` takes a sentence for each worker that is lost."""
        self._ray, self._actor, self._count, self._tell = ray, actor, count, tell
        self._setting, self._ended = ray.put(setting), ended
        self._workers: list[_Worker] = []
        self._series = 0
        self._fill()

    def results(self, parts: Sequence[P]) -> Iterator[T]:
        """What each part comes to, in their order, each once. Raises what a part raised, and InputError where worker
        after worker was lost.
        """
        self._series += 1
        todo, done, tries = deque(range(len(parts))), dict[int, T](), Counter[int]()
        for number in range(len(parts)):
            while number not in done:
                self._give(todo, parts)
                self._take(todo, done, tries)
            yield done.pop(number)

    def close(self) -> None:
        """End all of them."""
        for worker in self._workers:
            self._kill(worker)
        self._workers.clear()

    def _fill(self) -> None:
        while len(self._workers) < self._count:
            actor = self._actor.remote()
            self._workers.append(_Worker(actor, actor.open.remote(self._setting)))

    def _give(self, todo: deque[int], parts: Sequence[P]) -> None:
        for worker in self._workers:
            if worker.waited_for is None and todo:
                number = todo.popleft()
                worker.part = self._series, number
                worker.waited_for = worker.actor.do.remote(parts[number])

    def _take(self, todo: deque[int], done: dict[int, T], tries: Counter[int]) -> None:
        """Wait until somebody has done something, and take it in."""
        busy = {worker.waited_for: worker for worker in self._workers if worker.waited_for is not None}
        ready, _ = self._ray.wait(list(busy), timeout=LOOK_EVERY)
        for one in ready:
            worker, ended = busy[one], self._ended(one)
            series, number = worker.part or (self._series, _OPENING)
            worker.waited_for = None
            if ended.lost is not None:
                self._replace(worker, ended.lost)
            if series != self._series:
                continue  # nobody waits any more for what it was at
            if ended.lost is not None:
                tries[number] += 1
                if tries[number] >= TRIES:
                    raise _given_up(ended.lost)
                if number != _OPENING:
                    todo.appendleft(number)
            elif ended.error is not None:
                raise ended.error
            elif number == _OPENING:
                tries[_OPENING] = 0
            else:
                done[number] = cast(T, ended.value)

    def _replace(self, worker: _Worker, lost: str) -> None:
        self._kill(worker)  # also where it was only thought lost
        self._workers.remove(worker)
        self._tell(f"{lost} Another one does again what it was at")
        self._fill()

    def _kill(self, worker: _Worker) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(worker.actor, no_restart=True)


def _given_up(lost: str) -> InputError:
    return InputError(
        f"{lost} That happened to {many(TRIES, 'worker')} of the cluster one after another, at the same piece of work: "
        "is the memory of their machines enough? Take fewer with --workers. What was computed before is kept."
    )
