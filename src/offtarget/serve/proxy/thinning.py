"""Of the conversations that are to be scored, how many are told to the monitor: all, until more come than it can take.

Telling costs the worker and the monitor more than passing the answer on. Which conversations are left out follows from
their place in the split and from how many came just before, never from an answer, and is the same rule for both arms.
"""

from __future__ import annotations

PER_SECOND = 100.0
"""Exchanges that one worker tells: 360,000 an hour, more than most judges are paid for."""
_EVERY = 0.5
"""Seconds after which the rate is measured anew."""


class Thinning:
    """The share that is told, in one worker."""

    def __init__(self, per_second: float = PER_SECOND) -> None:
        self._most = per_second
        self._since: float | None = None
        self._came = 0
        self.share = 1.0
        """Of the conversations that are to be scored."""
        self.left_out = 0

    def keeps(self, position: float, now: float) -> bool:
        """Whether to tell of the conversation at this position in [0, 1) among those to be scored. `now` in seconds."""
        if self._since is None:
            self._since = now
        elif (passed := now - self._since) >= _EVERY:
            rate = self._came / passed
            self.share = min(1.0, self._most / rate) if rate else 1.0
            self._since, self._came = now, 0
        self._came += 1
        if position < self.share:
            return True
        self.left_out += 1
        return False
