"""Deletes what is older than it may be kept; a little at a time, so that nothing waits for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from offtarget.serve.store.protocol import Store

_LOG = logging.getLogger("offtarget.serve")
EVERY_SECONDS = 3600.0
AT_ONCE = 500
"""Rows that are deleted in one go; where there are more, the next go follows in the next round."""
DAY = 86_400.0
SET_SECONDS = 600.0
"""A wall clock that moved by so much against the monotonic one was set, and deletes nothing until the next start."""


class Retention:
    """Called in every round of a monitor that leads; does something once an hour."""

    def __init__(
        self, days: float, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        """`days` that bodies, and scores of earlier rollouts, are kept."""
        self._days, self._clock, self._now = days, clock, now
        self._started = now() - clock()
        self._again = clock()
        self._warned = False
        self.bodies = self.scored = 0
        """Deleted so far."""

    def forget(self, store: Store) -> None:
        """Delete what is due. Raises StoreError."""
        if self._clock() < self._again:
            return
        if abs(self._now() - self._clock() - self._started) > SET_SECONDS:
            # a clock that jumped to next year would delete the evidence on the rollout that runs
            if not self._warned:
                _LOG.warning(
                    "The clock of this machine was set: nothing old is deleted until the gateway starts again."
                )
            self._warned, self._again = True, self._clock() + EVERY_SECONDS
            return
        gone = store.forget(self._now() - self._days * DAY, AT_ONCE)
        self.bodies, self.scored = self.bodies + gone.bodies, self.scored + gone.scored
        if max(gone.bodies, gone.scored) < AT_ONCE:
            self._again = self._clock() + EVERY_SECONDS
