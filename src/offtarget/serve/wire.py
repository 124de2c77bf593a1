"""Exchanges on their way from the workers to the monitor: frames over a Unix socket, bounded at both ends.

A frame is a head (magic, three lengths), the fields of the exchange as JSON, the request and the answer as they were.

What is dropped, and why that is harmless: an exchange is dropped where the line is already full **before** it is
looked at. Its own size, its arm and its answer have no say in it, so the answers that are scored stay a fair
sample of each arm. Only a request that is too long for any judge is dropped for what it is, and it is the same
whichever model answers it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records.exchanges import Exchange
from offtarget.records.from_json import from_json

WAITING_BYTES = 8 * 1024 * 1024
"""Bytes that wait in a worker for the monitor; from then on exchanges are dropped."""
REQUEST_BYTES = 4 * 1024 * 1024
"""Longest request that goes to the monitor."""
ANSWER_BYTES = 1024 * 1024
"""Longest answer that goes to the monitor; a longer one is cut, and counted there."""
FIELDS_BYTES = 64 * 1024
CONNECTIONS = 256
"""Workers that a monitor listens to at a time."""
BATCH_SECONDS = 0.01
"""What a worker waits for more exchanges before it sends the first, so that its data path is seldom interrupted."""
RETRY_SECONDS = 0.2
"""Between two attempts to reach a monitor that is not there."""
_STALL_SECONDS = 5.0
"""After so long without progress a connection counts as broken."""
_HEAD = struct.Struct("!4sIII")
_MAGIC = b"OTX1"
_PIECE = 256 * 1024
_BODIES = ("request", "response")
_FIELDS = tuple(f.name for f in dataclasses.fields(Exchange) if f.name not in _BODIES)


class WireError(ValueError):
    """Bytes that are no frame; the connection they came over is closed."""


def encode(exchange: Exchange) -> bytes:
    """The frame of an exchange."""
    fields = json.dumps({name: getattr(exchange, name) for name in _FIELDS}, separators=(",", ":")).encode()
    head = _HEAD.pack(_MAGIC, len(fields), len(exchange.request), len(exchange.response))
    return b"".join((head, fields, exchange.request, exchange.response))


class Frames:
    """Takes bytes as they come and gives exchanges; holds at most one frame and what came with its end."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Exchange]:
        """The exchanges that are whole now. Raises WireError for what is no frame."""
        self._held += data
        found = []
        at = 0
        while len(self._held) - at >= _HEAD.size:
            magic, fields, request, response = _HEAD.unpack_from(self._held, at)
            if magic != _MAGIC:
                raise WireError("a frame does not begin as one")
            if fields > FIELDS_BYTES or request > REQUEST_BYTES or response > ANSWER_BYTES:
                raise WireError("a frame is too long")
            start = at + _HEAD.size
            middle, end = start + fields + request, start + fields + request + response
            if len(self._held) < end:
                break
            body = bytes(self._held[start + fields : middle]), bytes(self._held[middle:end])
            found.append(_exchange(bytes(self._held[start : start + fields]), *body))
            at = end
        del self._held[:at]
        return found


def _exchange(fields: bytes, request: bytes, response: bytes) -> Exchange:
    try:
        value = json.loads(fields, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the fields of a frame are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise WireError("the fields of a frame are no object")
    try:
        made = from_json(Exchange, {**value, "request": request, "response": response})
    except (ValueError, TypeError) as error:
        raise WireError(f"a frame is no exchange: {error}") from None
    times = (made.started, made.first_seconds, made.total_seconds)
    if not all(type(t) in (int, float) and math.isfinite(t) for t in times):
        raise WireError("a time in a frame is no number")
    return made


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


class SocketSink:
    """An `ExchangeSink` that a worker has: takes exchanges at once, and a thread brings them to the monitor.

    It reaches the monitor by itself as soon as there is one, and again after each restart of it. What waits while
    the monitor is away is bounded by `waiting_bytes` (and one exchange more); the rest is dropped and counted.
    """

    def __init__(self, path: Path, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self._path, self._most = str(path), waiting_bytes
        self._waiting: deque[Exchange] = deque()
        self._bytes = 0
        self._connected = False
        self._closed = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.counts: dict[str, int] = dict.fromkeys(("taken", "sent", "full", "nobody", "too_long", "reached"), 0)
        """`taken` and `sent`; dropped: `full` (the monitor is too slow), `nobody` (there is none), `too_long`
        (the request is); `reached`: connections made."""

    def offer(self, exchange: Exchange) -> bool:
        """Whether it was taken; never waits, never raises."""
        if len(exchange.request) > REQUEST_BYTES:
            self.counts["too_long"] += 1
            return False
        if len(exchange.response) > ANSWER_BYTES:
            exchange = dataclasses.replace(exchange, response=exchange.response[:ANSWER_BYTES], cut=True)
        with self._lock:
            if self._closed or self._bytes >= self._most:
                self.counts["full" if self._connected else "nobody"] += 1
                return False
            self._waiting.append(exchange)
            self._bytes += _weight(exchange)
            self.counts["taken"] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, daemon=True, name="offtarget-sink")
                self._thread.start()
        self._wake.set()
        return True

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for the monitor now."""
        return self._bytes

    def close(self, seconds: float = 1.0) -> None:
        """Take nothing more, and give what waits at most so many seconds to leave."""
        until = time.monotonic() + seconds
        while self._waiting and self._connected and time.monotonic() < until:
            time.sleep(0.005)
        with self._lock:
            self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(max(until - time.monotonic(), 0.1))

    def _send_all(self) -> None:
        connection: socket.socket | None = None
        while not self._closed:
            if not self._waiting:
                self._wake.clear()
                if not self._waiting and not self._closed:
                    self._wake.wait(1.0)
                    time.sleep(BATCH_SECONDS)
                continue
            if connection is None:
                connection = self._reached()
                if connection is None:
                    time.sleep(RETRY_SECONDS)
                    continue
            exchange = self._waiting[0]
            try:
                connection.sendall(encode(exchange))
            except (OSError, ValueError):  # sent again over the next connection: the monitor takes each once
                self._connected = False
                connection.close()
                connection = None
                if not _encodable(exchange):
                    self._gone(exchange)
                continue
            self._gone(exchange)
            self.counts["sent"] += 1
        if connection is not None:
            connection.close()

    def _gone(self, exchange: Exchange) -> None:
        with self._lock:
            self._waiting.popleft()
            self._bytes -= _weight(exchange)

    def _reached(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_STALL_SECONDS)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            return None
        self._connected = True
        self.counts["reached"] += 1
        return connection


def _weight(exchange: Exchange) -> int:
    return len(exchange.request) + len(exchange.response) + 1024


def _encodable(exchange: Exchange) -> bool:
    try:
        encode(exchange)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


class Listener:
    """The monitor's end: a thread that takes frames from all workers and hands each exchange to `take`.

    Bytes that are no frame end the connection they came over and nothing else. Raises InputError where the socket
    cannot be made.
    """

    def __init__(self, path: Path, take: Callable[[Exchange], object], *, connections: int = CONNECTIONS) -> None:
        self.path, self._take, self._most = path, take, connections
        self.counts: dict[str, int] = dict.fromkeys(("received", "malformed", "refused", "failed"), 0)
        """`received` exchanges; `malformed`, `refused` connections; `failed`: exchanges that `take` raised for."""
        self._open: dict[socket.socket, Frames] = {}
        self._selector = selectors.DefaultSelector()
        self._socket = _listening(path)
        self._file = path.stat().st_ino
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True, name="offtarget-listener")

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._stop.set()
        self._thread.join(5.0)
        for connection in [*self._open, self._socket]:
            connection.close()
        self._selector.close()
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self._file:  # not the socket of a monitor that has followed
                self.path.unlink()

    def _listen(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.1):
                if key.fileobj is self._socket:
                    self._accept()
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._read(key.fileobj)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            if len(self._open) >= self._most:
                self.counts["refused"] += 1
                connection.close()
                return
            connection.setblocking(False)
            self._open[connection] = Frames()
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        try:
            exchanges = self._open[connection].feed(data)
        except WireError:
            self.counts["malformed"] += 1
            self._close(connection)
            return
        for exchange in exchanges:
            self.counts["received"] += 1
            try:
                self._take(exchange)
            except Exception:  # one exchange never ends the listening
                self.counts["failed"] += 1

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._open[connection]
        connection.close()


def _listening(path: Path) -> socket.socket:
    """A socket at this path that only this user may reach; one that a dead monitor left is replaced."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(path.name + f".{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        made.bind(str(fresh))
        fresh.chmod(0o600)
        made.listen(64)
        fresh.replace(path)
    except OSError as error:
        made.close()
        reason = error.strerror or error
        raise InputError(f"The monitor cannot listen at {path}: {reason}. Give a shorter or another folder.") from None
    made.setblocking(False)
    return made


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    """Counters of several processes as one."""
    total: dict[str, int] = {}
    for one in counts:
        for name, number in one.items():
            total[name] = total.get(name, 0) + number
    return total
