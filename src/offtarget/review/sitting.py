"""How long somebody has been reading without a break."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from offtarget.review.store import Event

PAUSE_SECONDS = 15 * 60
"""A longer gap between two labels was a break."""

BREAK_EVERY = 100
"""Cards in one sitting after which the page suggests a break."""


def sitting(events: Sequence[Event], reviewer: str) -> int:
    """Cards labelled since the last break."""
    times = [
        dt.datetime.fromisoformat(e.label.at) for e in events if e.kind == "label" and e.label.reviewer == reviewer
    ]
    count = 0
    for before, after in zip([None, *times], times, strict=False):
        long_ago = before is not None and (after - before).total_seconds() > PAUSE_SECONDS
        count = 1 if long_ago else count + 1
    return count


def needs_break(count: int) -> bool:
    """Whether a round hundred of cards was labelled in one sitting."""
    return count > 0 and count % BREAK_EVERY == 0
