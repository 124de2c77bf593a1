"""A circuit breaker for the tuned model: after failures in a row it is left alone, then tried with one request."""

from __future__ import annotations

from typing import Literal

FAILURES = 5
"""Failures in a row that open the circuit."""
PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds before one request is tried again, doubled at each failed try up to the other."""

State = Literal["closed", "open", "half-open"]


class Circuit:
    """Counts what became of requests to one upstream model, in one worker."""

    def __init__(self, failures: int = FAILURES, pause: float = PAUSE) -> None:
        self._most, self._first_pause = failures, pause
        self._failed = 0
        self._pause = pause
        self._until = 0.0
        self._trying = False
        self.state: State = "closed"
        self.opened = 0
        """Times it opened."""

    def allows(self, now: float) -> bool:
        """Whether a request may go to the model; whoever is told so must say how it ended. `now` in seconds."""
        if self.state == "closed":
            return True
        if self._trying or now < self._until:
            return False
        self.state = "half-open"
        self._trying = True
        return True

    def succeeded(self) -> None:
        """A request was answered. One that began before the circuit opened says nothing about now."""
        if self.state == "open":
            return
        self._failed = 0
        self._trying = False
        self._pause = self._first_pause
        self.state = "closed"

    def failed(self, now: float) -> None:
        """A request was not answered, by the model's fault."""
        self._failed += 1
        if self.state == "half-open" and self._trying:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        elif self.state != "closed" or self._failed < self._most:
            return
        self._trying = False
        self._until = now + self._pause
        self.state = "open"
        self.opened += 1

    def gave_up(self) -> None:
        """It is not known how a request would have ended: the client left, or asked for what no model does."""
        self._trying = False
