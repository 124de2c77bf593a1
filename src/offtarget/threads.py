"""Calls in threads that nobody waits for: Ctrl-C ends a command at once, whatever is still under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class GivenUp(BaseException):
    """Ends a call that nobody waits for any more; raised and caught in its own thread only."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[K, T]):
    """A call that has ended."""

    key: K
    value: T | None
    error: BaseException | None

    def result(self) -> T:
        """What it returned. Raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Calls(Generic[K, T]):
    """Calls of which at most `most` are under way at a time; they come back in the order in which they end.

    Its threads are daemons: neither closing it nor the end of the process waits for them. Once it is closed no call
    is begun, and one that waits for something may look at `given_up` and end.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._todo: SimpleQueue[tuple[K, Callable[[], T]] | None] = SimpleQueue()
        self._ended: SimpleQueue[Ended[K, T]] = SimpleQueue()
        self._threads = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        # what calls made within a call are for is wanted as long as that call is
        self._given_up: threading.Event = getattr(_here, "given_up", self._closed)
        self.waiting = 0
        """Calls that were started and have not come back."""

    def __enter__(self) -> Calls[K, T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, key: K, call: Callable[[], T]) -> None:
        """Make a call as soon as there is room."""
        self.waiting += 1
        self._todo.put((key, call))
        if self._threads < min(self._most, self.waiting):
            self._threads += 1
            threading.Thread(target=self._work, daemon=True, name="offtarget-call").start()

    def ended(self, seconds: float | None = None) -> list[Ended[K, T]]:
        """The calls that have ended since it was last asked; it waits for the first, at most so long (None: for ever).

        Empty where none is under way, or where none ended in time.
        """
        found: list[Ended[K, T]] = []
        try:
            while self.waiting:
                # a wait without end cannot be interrupted on every platform
                if found or seconds is not None:
                    found.append(self._ended.get(timeout=0 if found else seconds))
                else:
                    found.append(self._next())
                self.waiting -= 1
        except Empty:
            pass
        return found

    def rest(self, seconds: float) -> list[Ended[K, T]]:
        """Close it, wait at most so long for the calls that are under way, and hand back those that succeeded."""
        self.close()
        until, found = time.monotonic() + seconds, []
        while self._under_way and time.monotonic() < until:
            found += self.ended(0.05)
        found += self.ended(0.0)
        return [one for one in found if one.error is None]

    def _next(self) -> Ended[K, T]:
        while True:
            try:
                return self._ended.get(timeout=1.0)
            except Empty:
                if given_up():  # what is waited for was not even begun
                    raise GivenUp from None

    def close(self) -> None:
        """Begin no call any more; those under way are left alone, and what they come to can still be asked for."""
        self._closed.set()
        for _ in range(self._threads):
            self._todo.put(None)

    def _work(self) -> None:
        _here.given_up = self._given_up
        while (item := self._todo.get()) is not None:
            key, call = item
            if self._closed.is_set() or self._given_up.is_set():
                return
            value, error = None, None
            with self._lock:
                self._under_way += 1
            try:
                value = call()
            except BaseException as raised:
                error = raised
            self._ended.put(Ended(key, value, error))
            with self._lock:
                self._under_way -= 1
            del item, call, value, error  # nothing is held while it waits for the next


_here = threading.local()


def given_up() -> bool:
    """Whether nobody waits any more for the call that this thread makes; False in a thread that is no such one."""
    event: threading.Event | None = getattr(_here, "given_up", None)
    return event is not None and event.is_set()


def pause(seconds: float) -> None:
    """Wait; in a call that is given up only until then. Raises GivenUp."""
    event: threading.Event | None = getattr(_here, "given_up", None)
    if (threading.Event() if event is None else event).wait(seconds):
        raise GivenUp


def side_by_side(most: int, calls: Sequence[Callable[[], T]]) -> list[T]:
    """What these calls return, in their order, at most `most` under way at a time. Raises what the first to fail did.

    One call alone is made in this thread.
    """
    if most == 1 or len(calls) < 2:
        return [call() for call in calls]
    found: dict[int, T] = {}
    with Calls[int, T](most) as running:
        for number, call in enumerate(calls):
            running.start(number, call)
        while running.waiting:
            for ended in running.ended():
                found[ended.key] = ended.result()
    return [found[number] for number in range(len(calls))]
