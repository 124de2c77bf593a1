"""How many requests a server gets at a time, and how long to wait before one is tried again.

A server that says "too many" (429), or that lets requests wait until they time out, gets fewer at a time: half, once
for every round of requests, and then one more for every few rounds that pass. That is no failure as long as anything
gets through.
"""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from offtarget.threads import GivenUp, given_up, pause

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before a second try, doubled from try to try up to the other, less up to a quarter by chance."""
LONGEST_WISH = 600.0
"""A server that wants a longer pause than this is not waited for."""
_ROUNDS = 8
"""Rounds without a refusal after which one more request at a time is tried."""
_LOOK = 0.2
"""Seconds between two looks at whether a request is still wanted."""
PATIENCE = 60.0
"""Seconds for which a server that refuses every request is asked again at least, since most limits are per minute."""


@dataclass(slots=True)
class Tries:
    """What one request has gone through."""

    failed: int = 0
    """Times it failed while nothing else got through."""
    seen: int = 0
    """Requests of all that had got through when it last failed."""
    since: float | None = None
    """When it began to be refused without anything getting through."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a request failed, as far as it matters for whether it is tried again."""

    passes: bool
    """The same request may succeed a moment later."""
    crowded: bool = False
    """The server said, or showed, that requests are too many."""
    wish: float | None = None
    """Seconds that it wants nobody to ask again."""
    patience: float = 0.0
    """Seconds for which it is tried again at least, however many tries that takes."""


class Connections:
    """Places for requests to one server; thread-safe."""

    def __init__(self, most: int) -> None:
        self.most = self.now = most
        """Requests at a time: as set, and as the server takes them now."""
        self._free = threading.Condition()
        self._busy = self._passed = self._round = self._calm = 0
        self._hold = 0.0

    @contextmanager
    def place(self) -> Iterator[int]:
        """Waits for a place and gives the round in which it was had. Raises GivenUp where nobody wants it any more."""
        with self._free:
            while self._busy >= self.now or time.monotonic() < self._hold:
                if given_up():
                    raise GivenUp
                self._free.wait(_LOOK)
            if given_up():
                raise GivenUp
            self._busy += 1
            begun = self._round
        try:
            yield begun
        finally:
            with self._free:
                self._busy -= 1
                self._free.notify()

    def until_through(self, call: Callable[[], T], retries: int, look: Callable[[Exception], Failed | None]) -> T:
        """What `call` returns, made again while it fails for a passing reason and is worth another try.

        `look` says of an error why the request failed; None for one that is no failure of a request. Raises the last
        error, and GivenUp where nobody waits for the request any more.
        """
        tries = Tries()
        while True:
            with self.place() as begun:
                try:
                    found = call()
                    self.passed()
                    return found
                except Exception as error:
                    seen, failed = look(error), error
            if seen is None or not seen.passes or (seen.wish or 0.0) > LONGEST_WISH:
                raise failed
            if not self.worth_another(tries, retries, seen.patience):
                raise failed
            if seen.crowded:
                self.too_many(begun, seen.wish)
            if not (seen.crowded and seen.wish):  # then nobody is asked for so long anyway
                pause(seen.wish or pause_before(tries.failed - 1))

    def passed(self) -> None:
        """A request got through."""
        with self._free:
            self._passed += 1
            self._calm += 1
            if self.now < self.most and self._calm >= _ROUNDS * self.now:
                self.now += 1
                self._calm = 0
                self._free.notify()

    def too_many(self, begun: int, hold: float | None) -> None:
        """A request of that round was one too many; nobody is asked for `hold` seconds, where the server says so."""
        with self._free:
            if begun == self._round:  # the others of its round say the same
                self.now = max(1, self.now // 2)
                self._round += 1
                self._calm = 0
            if hold is not None:
                self._hold = max(self._hold, time.monotonic() + hold)

    def worth_another(self, tries: Tries, most: int, patience: float) -> bool:
        """Whether a request that was refused is worth another try, and counts it.

        It is while anything gets through; then as long as there are tries left, or `patience` seconds are not over.
        """
        with self._free:
            now = time.monotonic()
            if self._passed != tries.seen or tries.since is None:
                tries.failed, tries.since, tries.seen = 0, now, self._passed
            tries.failed += 1
            # one that is being answered may take longer than all tries of one that waits for it
            return most > 0 and (tries.failed <= most or now - tries.since < patience)


def wished(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server wants nobody to ask again, from `retry-after-ms` or `retry-after`; None where it says none.

    Source: RFC 9110, 10.2.3 (seconds or a date).
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name)
        if said is None:
            continue
        try:
            seconds = float(said) * unit
        except ValueError:
            parsed = email.utils.parsedate_tz(said)
            seconds = -1.0 if parsed is None else float(email.utils.mktime_tz(parsed)) - time.time()
        if seconds >= 0:
            return seconds
    return None


def pause_before(tried: int) -> float:
    """Seconds before the next try after so many."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tried, 10)) * random.uniform(0.75, 1.0)
