"""What all processes of a gateway counted together: sums that never fall, however often a process starts again."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from offtarget.serve.counters import METRICS, Key

ALIVE_SECONDS = 3.0
"""A process that was silent for longer has no gauges; its counts stay."""
KEPT = 256
"""Processes that are told apart; of those before only the sum is known."""
LARGEST = 1 << 20
"""Bytes of a datagram."""


class CounterSource(Protocol):
    """Where the admin plane reads counts."""

    def numbers(self) -> Mapping[Key, float]:
        """Counters and gauges, summed."""
        ...

    def histograms(self) -> Mapping[Key, list[float]]:
        """A count per bucket, one beyond the last, then the sum of the values."""
        ...

    def processes(self) -> int:
        """How many told something in the last seconds."""
        ...


@dataclass(slots=True)
class _Process:
    heard: float
    numbers: dict[Key, float] = field(default_factory=dict)
    histograms: dict[Key, list[float]] = field(default_factory=dict)


class Totals:
    """Takes snapshots of `Counters` and adds them up. The last one of each process counts, also after its death."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[str, _Process] = {}
        self._gone: set[str] = set()
        self._before = _Process(-math.inf)

    def take(self, snapshot: Mapping[str, Any]) -> None:
        """One snapshot. What is not as `Counters` writes it is left out."""
        process = str(snapshot.get("process", ""))
        numbers = {key: value for key, value in _rows(snapshot.get("numbers")) if isinstance(value, float)}
        histograms = {key: value for key, value in _rows(snapshot.get("histograms")) if isinstance(value, list)}
        with self._lock:
            if not process or process in self._gone:
                return
            self._processes[process] = _Process(time.monotonic(), numbers, histograms)
            if len(self._processes) > KEPT:
                self._forget(min(self._processes, key=lambda name: self._processes[name].heard))

    def _forget(self, process: str) -> None:
        """Fold a process that has long been silent into the sum of those before."""
        old = self._processes.pop(process)
        self._gone.add(process)
        _add_numbers(self._before.numbers, {k: v for k, v in old.numbers.items() if METRICS[k[0]].kind != "gauge"})
        _add_histograms(self._before.histograms, old.histograms)

    def numbers(self) -> Mapping[Key, float]:
        """Counters and gauges, summed; gauges of living processes alone."""
        total: dict[Key, float] = {}
        with self._lock:
            now = time.monotonic()
            for one in (self._before, *self._processes.values()):
                dead = now - one.heard > ALIVE_SECONDS
                _add_numbers(
                    total, {k: v for k, v in one.numbers.items() if not (dead and METRICS[k[0]].kind == "gauge")}
                )
        return total

    def histograms(self) -> Mapping[Key, list[float]]:
        """A count per bucket, one beyond the last, then the sum of the values."""
        total: dict[Key, list[float]] = {}
        with self._lock:
            for one in (self._before, *self._processes.values()):
                _add_histograms(total, one.histograms)
        return total

    def processes(self) -> int:
        """How many told something in the last seconds."""
        with self._lock:
            now = time.monotonic()
            return sum(now - one.heard <= ALIVE_SECONDS for one in self._processes.values())


def _add_numbers(total: dict[Key, float], more: Mapping[Key, float]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0.0) + value


def _add_histograms(total: dict[Key, list[float]], more: Mapping[Key, list[float]]) -> None:
    for key, row in more.items():
        known = total.setdefault(key, [0.0] * len(row))
        total[key] = [a + b for a, b in zip(known, row, strict=True)]


def _rows(rows: Any) -> Iterator[tuple[Key, float | list[float]]]:
    """Rows `[metric, label, ..., value]` of metrics that are known, with as many labels and buckets as those have."""
    for row in rows if isinstance(rows, list) else ():
        if not (isinstance(row, list) and row and row[0] in METRICS):
            continue
        metric, (*labels, value) = METRICS[row[0]], row[1:] or [None]
        if len(labels) != len(metric.labels) or not all(isinstance(label, str) for label in labels):
            continue
        key = (metric.name, *labels)
        if metric.kind == "histogram":
            if isinstance(value, list) and len(value) == len(metric.buckets) + 2 and all(map(_is_amount, value)):
                yield key, [float(each) for each in value]
        elif _is_amount(value):
            yield key, float(value)


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


class CounterReceiver:
    """The socket at which processes leave their snapshots; read by a thread of its own."""

    def __init__(self, path: Path, totals: Totals) -> None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._path, self._totals = path, totals
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.settimeout(0.5)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counters", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                payload = self._socket.recv(LARGEST)
            except TimeoutError:
                continue
            except OSError:
                return
            with contextlib.suppress(ValueError, RecursionError):
                snapshot = json.loads(payload)
                if isinstance(snapshot, dict):
                    self._totals.take(snapshot)

    def close(self) -> None:
        """End the thread and take the socket away."""
        self._ended.set()
        self._thread.join(2)
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
