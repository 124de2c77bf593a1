"""The time one row may take, so that no text can hold up an audit for good."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LEAST, PER_CHARACTER = 10.0, 1e-5
"""Seconds of processor time: ten, and ten more for every million characters. The slowest texts that were made for the
detectors take a tenth of that, ordinary rows a thousandth, so that a slow machine gives no other result."""
TOO_SLOW = "too-slow"
"""The name of the error."""


class TooSlow(BaseException):
    """A row took longer than it may; no `Exception`, so that no detector takes it for an error of its own."""


SUPPORTED = hasattr(signal, "setitimer")
"""Whether this system has timers; Windows has none, and rows are read without a limit there."""


def available() -> bool:
    """Whether time can be limited here: signals reach the main thread of a process only."""
    return SUPPORTED and threading.current_thread() is threading.main_thread()


def limit(characters: int) -> float:
    """Seconds of processor time that a row of this length may take."""
    return LEAST + PER_CHARACTER * characters


class RowClock:
    """Stops what takes too long, also inside the matcher of regular expressions, which looks for signals as it goes.

    It runs on the processor time of this process, not on the clock on the wall: a machine that was asleep or busy with
    other things stops no row.
    """

    def __init__(self) -> None:
        self._running = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Where time can be limited, `start` and `stop` have an effect inside this."""
        if not available():
            yield
            return
        earlier = signal.signal(signal.SIGVTALRM, _stop)
        timer = signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        self._running = True
        try:
            yield
        finally:
            self._running = False
            signal.setitimer(signal.ITIMER_VIRTUAL, *timer)
            signal.signal(signal.SIGVTALRM, earlier)

    def start(self, characters: int) -> None:
        """Begin a row of this length: TooSlow is raised in it when its time is over."""
        if self._running:
            # Again every second: an exception that is lost, as in a destructor, must not leave the row without a limit.
            signal.setitimer(signal.ITIMER_VIRTUAL, limit(characters), 1.0)

    def stop(self) -> None:
        """The row is read."""
        if self._running:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)


def _stop(*_: object) -> None:
    raise TooSlow
