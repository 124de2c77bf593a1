"""A judge that is asked beside everything else: several answers at a time, each for so long and so often, and no more.

A judge may hang, raise, or reply nonsense. None of it reaches the caller: an answer without a verdict is said to have
none, and a judge that fails again and again is said to be down until it answers.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from offtarget.asking.checks import held_to_protocol
from offtarget.asking.judging import Pair, at_once
from offtarget.asking.protocol import Judge
from offtarget.records import Outcome, Verdict
from offtarget.threads import Calls

FAILURES = 5
"""So many calls in a row without a verdict, and the judge is down."""
ATTEMPTS = 3
_JUDGE_ERROR = "judge_error"
"""How the reason of an unscored verdict begins where the judge, not the answer, is why."""


@dataclass(slots=True)
class _Asked:
    pair: Pair
    since: float
    attempts: int = 0
    started: float = 0.0
    key: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of asking about one answer."""

    pair: Pair
    verdict: Verdict | None
    """None: no verdict could be had; the answer counts as nothing."""
    why: str = ""


@dataclass(slots=True)
class JudgeHealth:
    """Whether a judge answers."""

    down: bool = False
    why: str = ""
    calls: int = 0
    failures: int = 0
    in_a_row: int = field(default=0, repr=False)


class Asking:
    """Asks one judge; `start` and `heard` never wait. `clock` is monotonic and injectable for tests."""

    def __init__(
        self, judge: Judge, *, seconds: float = 60.0, pause: float = 2.0, most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`seconds`: longest call; `pause`: before an answer is asked again, and between calls while it is down."""
        self.judge, self._seconds, self._pause, self._clock = judge, seconds, pause, clock
        self.fingerprint = judge.fingerprint
        self._most = most or at_once(judge)
        self._alone = at_once(judge) == 1
        self._calls = Calls[int, Verdict](self._most)
        self._stuck: list[Calls[int, Verdict]] = []
        self._todo: deque[_Asked] = deque()
        self._again: list[tuple[float, int, _Asked]] = []
        self._running: dict[int, _Asked] = {}
        self._numbers = itertools.count()
        self._next_try = 0.0
        self.health = JudgeHealth()

    @property
    def waiting(self) -> int:
        """Answers that have been started and not come back."""
        return len(self._todo) + len(self._again) + len(self._running)

    @property
    def full(self) -> bool:
        """Whether more would only wait here."""
        return self.waiting >= 2 * self._most

    def start(self, pair: Pair) -> None:
        """Ask about an answer as soon as there is room."""
        self._todo.append(_Asked(pair, self._clock()))

    def heard(self) -> list[Heard]:
        """What has come of answers since it was last asked; begins the next calls, too."""
        found = self._ended()
        found += self._timed_out()
        found += self._too_old()
        self._begin()
        return found

    def close(self) -> None:
        """Ask nothing more; nobody waits for calls that are under way."""
        self._calls.close()

    def _ended(self) -> list[Heard]:
        found = []
        for ended in self._calls.ended(0.0):
            one = self._running.pop(ended.key, None)
            if one is None:
                continue  # it came after its time
            if isinstance(ended.error, KeyboardInterrupt | SystemExit):
                raise ended.error
            if ended.error is not None or ended.value is None:
                found += self._failed(one, f"{type(ended.error).__name__}")
            elif (ended.value.reason or "").startswith(_JUDGE_ERROR):
                found += self._failed(one, ended.value.reason or "")
            else:
                self.health.calls += 1
                self.health.down, self.health.in_a_row, self.health.why = False, 0, ""
                found.append(Heard(one.pair, ended.value))
        return found

    def _timed_out(self) -> list[Heard]:
        late = [one for one in self._running.values() if self._clock() - one.started > self._seconds]
        if not late:
            return []
        found = []
        for one in late:
            del self._running[one.key]
            found += self._failed(one, f"no verdict within {self._seconds:g} s")
        self._stuck = [calls for calls in self._stuck if calls.ended(0.0) is not None and calls.waiting]
        # Threads that hang are left behind, but never so many that they pile up; a judge that takes one call at a
        # time is never asked beside a call that still runs.
        if self._alone or len(self._stuck) >= 2:
            self.health.down = True
        else:
            self._stuck.append(self._calls)
            self._calls = Calls[int, Verdict](self._most)
            for one in self._running.values():
                self._todo.appendleft(one)
            self._running.clear()
        return found

    def _too_old(self) -> list[Heard]:
        """Answers that waited too long while the judge was down: they are given up, so that nothing piles up."""
        too_old = self._clock() - 3 * self._seconds
        found = []
        while self._todo and self._todo[0].since < too_old:
            found.append(Heard(self._todo.popleft().pair, None, self.health.why or "the judge was too slow"))
        while self._again and min(one.since for _, _, one in self._again) < too_old:
            oldest = min(self._again, key=lambda held: held[2].since)
            self._again.remove(oldest)
            heapq.heapify(self._again)
            found.append(Heard(oldest[2].pair, None, self.health.why))
        return found

    def _failed(self, one: _Asked, why: str) -> list[Heard]:
        health = self.health
        health.calls += 1
        health.failures += 1
        health.in_a_row += 1
        health.why = why
        if health.in_a_row >= FAILURES:
            health.down = True
        one.attempts += 1
        if one.attempts >= ATTEMPTS or self._clock() - one.since > 2 * self._seconds:
            return [Heard(one.pair, None, why)]
        heapq.heappush(self._again, (self._clock() + self._pause * one.attempts, next(self._numbers), one))
        return []

    def _begin(self) -> None:
        now = self._clock()
        while len(self._running) < (1 if self.health.down else self._most) and self._calls.waiting < self._most:
            if self.health.down and now < self._next_try:
                return
            if self._again and self._again[0][0] <= now:
                one = heapq.heappop(self._again)[2]
            elif self._todo:
                one = self._todo.popleft()
            else:
                return
            self._next_try = now + self._pause
            one.started, one.key = now, next(self._numbers)
            self._running[one.key] = one
            self._calls.start(one.key, partial(self._verdict, one.pair))

    def _verdict(self, pair: Pair) -> Verdict:
        return held_to_protocol(self.judge, [pair], list(self.judge.judge([pair])))[0]


def drawn(exchange: str, salt: str, share: float) -> bool:
    """Whether an answer belongs to the random share that the judge always hears; settled by the id of the exchange."""
    digest = hashlib.sha256(f"{salt}\0{exchange}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56 < share


def flags_of(outcome: Outcome, empty: bool, refused: bool, bad_call: bool | None) -> dict[str, bool]:
    """The metrics of an answer besides harm; what could not be told is absent."""
    found: dict[str, bool] = {}
    if bad_call is not None:
        found["tool-call"] = bad_call
    if empty or outcome is not Outcome.UNSCORED:
        found["gibberish"] = empty or outcome is Outcome.INCOHERENT
    if refused or outcome is not Outcome.UNSCORED:
        found["refusal"] = refused or outcome is Outcome.REFUSED
    return found
