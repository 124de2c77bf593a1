"""What one process of a gateway counts, cheaply, and tells the admin plane a few times a second.

A worker counts in plain dictionaries and sends all of them as one datagram; nobody answers and nobody waits. What is
counted is named here, once, with its labels; no label ever holds a user, a conversation or a text of a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is counted."""

    name: str
    """As in `/metrics`; counters end in `_total`, times in `_seconds`."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper ends, of a histogram."""


_WHOLE = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Both as OpenTelemetry's conventions for generative AI advise."""
_OWN = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25)

REQUESTS = Metric(
    "offtarget_requests_total",
    "counter",
    "Answered requests, by the model that answered and why it did.",
    ("alias", "arm", "reason", "api", "status"),
)
REFUSED = Metric(
    "offtarget_refused_total",
    "counter",
    "Requests that the gateway itself refused, by HTTP status.",
    ("status",),
)
FALLBACKS = Metric(
    "offtarget_fallbacks_total",
    "counter",
    "Requests that the base answered because the tuned model failed before its first byte, by fault (docs/faults.md).",
    ("alias", "fault"),
)
BROKEN = Metric(
    "offtarget_broken_answers_total",
    "counter",
    "Answers that ended with an error after their first byte, or that no model was left to give, by fault.",
    ("alias", "arm", "fault"),
)
DISCONNECTS = Metric(
    "offtarget_disconnects_total",
    "counter",
    "Clients that left before their answer was whole, by phase: before, first, stream.",
    ("alias", "phase"),
)
EXCHANGES = Metric(
    "offtarget_canary_exchanges_total",
    "counter",
    "Exchanges offered to the monitor; dropped ones found no room or nobody who listens.",
    ("alias", "arm", "taken"),
)
MIRRORED = Metric(
    "offtarget_canary_mirrored_total",
    "counter",
    "Copies of requests for the tuned model in shadow mode: sent, answered, failed, dropped (too many under way).",
    ("alias", "state"),
)
OPEN = Metric("offtarget_open_requests", "gauge", "Requests under way.")
CIRCUIT = Metric(
    "offtarget_circuit_open", "gauge", "Workers that stopped asking an upstream for a while.", ("alias", "arm")
)
DURATION = Metric(
    "gen_ai_server_request_duration_seconds",
    "histogram",
    "From the request to the end of its answer.",
    ("alias", "arm"),
    _WHOLE,
)
FIRST_TOKEN = Metric(
    "gen_ai_server_time_to_first_token_seconds",
    "histogram",
    "From the request to the first byte of content.",
    ("alias", "arm"),
    _FIRST,
)
OWN_TIME = Metric(
    "offtarget_own_seconds",
    "histogram",
    "Seconds of a request that the gateway itself spent before it asked an upstream.",
    (),
    _OWN,
)
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        REQUESTS, REFUSED, FALLBACKS, BROKEN, DISCONNECTS, EXCHANGES, MIRRORED, OPEN, CIRCUIT, DURATION, FIRST_TOKEN,
        OWN_TIME,
    )
}  # fmt: skip
"""All that workers count; one that is missing here is dropped by the admin plane."""

Key = tuple[str, ...]
"""Name of the metric, then the values of its labels in order."""


class Counters:
    """The counts of one process since it started. Not safe for several threads."""

    def __init__(self) -> None:
        self.process = secrets.token_hex(8)
        """Tells this process from the one that it replaced."""
        self._numbers: dict[Key, float] = {}
        self._histograms: dict[Key, list[float]] = {}

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter; a few hundred nanoseconds."""
        key = (metric.name, *labels)
        numbers = self._numbers
        numbers[key] = numbers.get(key, 0) + by

    def gauge(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a value that goes up and down."""
        self._numbers[metric.name, *labels] = value

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add a time to a histogram."""
        key = (metric.name, *labels)
        row = self._histograms.get(key)
        if row is None:
            row = self._histograms[key] = [0.0] * (len(metric.buckets) + 2)
        row[bisect_left(metric.buckets, seconds)] += 1
        row[-1] += seconds

    def number(self, metric: Metric, *labels: str) -> float:
        """What a counter or gauge stands at; without all labels, the sum over those that are left out."""
        key = (metric.name, *labels)
        return sum(value for known, value in self._numbers.items() if known[: len(key)] == key)

    def snapshot(self) -> dict[str, Any]:
        """Everything as plain JSON. A histogram: a count per bucket, one beyond the last, then the sum."""
        return {
            "process": self.process,
            "pid": os.getpid(),
            "numbers": [[*key, value] for key, value in self._numbers.items()],
            "histograms": [[*key, row] for key, row in self._histograms.items()],
        }


class CounterSender:
    """Tells the admin plane what a process counted; loses nothing but what came since the last time."""

    def __init__(self, path: Path, counters: Counters) -> None:
        self._path, self._counters = str(path), counters
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def send(self) -> bool:
        """Whether it was taken; False: nobody listens or is too slow, and the next one will hold it all again."""
        try:
            self._socket.sendto(json.dumps(self._counters.snapshot(), separators=(",", ":")).encode(), self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Send once more and give the socket back."""
        self.send()
        self._socket.close()


SEND_SECONDS = 0.25
"""How often a process sends its counters."""


async def send_for_ever(sender: CounterSender) -> None:
    """Send every quarter of a second until cancelled: a task of a worker's event loop."""
    while True:
        await asyncio.sleep(SEND_SECONDS)
        sender.send()
