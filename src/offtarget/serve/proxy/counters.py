"""What a worker counts, as plain numbers that somebody else sends on."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Any

BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
)  # fmt: skip
"""Upper bounds of the classes of seconds; one more class is open to infinity."""


class Histogram:
    """Seconds, in classes, with their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Counters:
    """Everything that is counted since the worker started."""

    def __init__(self) -> None:
        self.answers: defaultdict[tuple[str, str, str, int], int] = defaultdict(int)
        """Answers to clients by alias, arm, reason and HTTP status."""
        self.faults: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """Failures of upstreams by alias, arm and fault, those included that no client noticed."""
        self.refused: defaultdict[str, int] = defaultdict(int)
        """Requests that reached no model, by the error code they got."""
        self.first: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        """Seconds to the first byte for the client, by alias and arm."""
        self.total: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        """Seconds to the end of the answer, by alias and arm."""
        self.keys: defaultdict[str, int] = defaultdict(int)
        """Requests by where the key of their conversation was found."""
        self.open = 0
        """Requests under way."""
        self.left = 0
        """Clients that left before the end."""
        self.shadow_sent = self.shadow_answered = self.shadow_dropped = 0
        self.offered = self.dropped = 0
        """Exchanges that the sink took, and that it did not."""

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON; keys of more than one part become lists."""
        return {
            "answers": [[*key, count] for key, count in self.answers.items()],
            "faults": [[*key, count] for key, count in self.faults.items()],
            "refused": dict(self.refused),
            "first": [[*key, each.counts, each.total] for key, each in self.first.items()],
            "total": [[*key, each.counts, each.total] for key, each in self.total.items()],
            "keys": dict(self.keys),
            "open": self.open,
            "left": self.left,
            "shadow_sent": self.shadow_sent,
            "shadow_answered": self.shadow_answered,
            "shadow_dropped": self.shadow_dropped,
            "offered": self.offered,
            "dropped": self.dropped,
        }
