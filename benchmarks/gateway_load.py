"""What gateway.py sends: single requests one after the other, as many as a gateway takes, and streams side by side.

No HTTP library: its cost would be larger than what is measured. The closed loop is `wrk` where it is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httptools
import uvloop

_POSITION = re.compile(rb'"content": ?"w(\d+) "')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant. Answer in one or two sentences."},
    {"role": "user", "content": "What is the capital of France, and how long has it been the capital? " * 4},
]
"""About 0.4 KB, as a short chat has."""


@dataclass(frozen=True)
class Place:
    """Where requests go."""

    port: int
    model: str
    key: str

    def request(self, *, stream: bool, user: str) -> bytes:
        """A whole HTTP request."""
        asked = {"model": self.model, "messages": MESSAGES, "user": user} | ({"stream": True} if stream else {})
        body = json.dumps(asked).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class LoadError(Exception):
    """The server did not answer as it should."""


class Probe:
    """One connection on which requests follow each other; a blocking socket, so that nothing but the wire is timed."""

    def __init__(self, place: Place) -> None:
        self.place, self.sent = place, 0
        self.socket = self._connected()

    def _connected(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.place.port), timeout=30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def seconds(self) -> float:
        """How long one request takes to its last byte. Raises LoadError where the answer is not 200."""
        try:
            return self._asked()
        except ConnectionError:  # a server that keeps connections for a few seconds only closed ours in between
            self.socket.close()
            self.socket = self._connected()
            return self._asked()

    def _asked(self) -> float:
        self.sent += 1
        request = self.place.request(stream=False, user=f"u{self.sent}")
        began = time.perf_counter()
        self.socket.sendall(request)
        data, whole = b"", -1
        while whole < 0 or len(data) < whole:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError
            data += more
            if whole < 0 and (end := data.find(b"\r\n\r\n")) >= 0:
                length = _LENGTH.search(data[:end])
                if length is None or not data.startswith(b"HTTP/1.1 200"):
                    raise LoadError(data[:300].decode("latin-1"))
                whole = end + 4 + int(length[1])
        return time.perf_counter() - began

    def close(self) -> None:
        """Give the connection back."""
        self.socket.close()


@dataclass(frozen=True)
class Loop:
    """What a closed loop did."""

    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float


def closed_loop(place: Place, connections: int, seconds: float) -> Loop:
    """As many requests as come back, on so many connections, each waiting for its answer."""
    return (_wrk if shutil.which("wrk") else _own_loop)(place, connections, seconds)


_SCRIPT = """\
wrk.method = "POST"
wrk.headers["authorization"] = "Bearer {key}"
wrk.headers["content-type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, "/v1/chat/completions", nil, '{before}u' .. n .. '{after}')
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %f %f\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


def _wrk(place: Place, connections: int, seconds: float) -> Loop:
    body = place.request(stream=False, user="USER").partition(b"\r\n\r\n")[2].decode()
    before, _, after = body.partition("USER")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(_SCRIPT.format(key=place.key, before=before, after=after))
        asked = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--timeout", "30s", "-s", str(script)]
        done = subprocess.run([*asked, f"http://127.0.0.1:{place.port}"], capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\S+) (\S+)", done.stdout)
    if found is None:
        raise LoadError(done.stdout + done.stderr)
    requests, microseconds, failed = int(found[1]), int(found[2]), int(found[3])
    return Loop(requests, microseconds / 1e6, failed, float(found[4]) / 1e3, float(found[5]) / 1e3)


class _Asker(asyncio.Protocol):
    """One connection of the own closed loop."""

    def __init__(self, place: Place, name: int, times: list[float], until: float) -> None:
        self.place, self.name, self.times, self.until = place, name, times, until
        self.failed, self.sent, self.data = 0, 0, b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        self.sent, self.data, self.began = self.sent + 1, b"", time.perf_counter()
        self.transport.write(self.place.request(stream=False, user=f"{self.name}-{self.sent}"))

    def data_received(self, data: bytes) -> None:
        self.data += data
        end = self.data.find(b"\r\n\r\n")
        length = _LENGTH.search(self.data[:end]) if end >= 0 else None
        if length is None or len(self.data) < end + 4 + int(length[1]):
            return
        now = time.perf_counter()
        self.failed += not self.data.startswith(b"HTTP/1.1 200")
        self.times.append(now - self.began)
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self.until:
            self.failed += 1
        if not self.over.done():
            self.over.set_result(None)


def _own_loop(place: Place, connections: int, seconds: float) -> Loop:
    async def run() -> Loop:
        loop, times, began = asyncio.get_running_loop(), list[float](), time.perf_counter()
        askers = [_Asker(place, name, times, began + seconds) for name in range(connections)]
        for asker in askers:
            await loop.create_connection(lambda one=asker: one, "127.0.0.1", place.port)
        await asyncio.wait([asker.over for asker in askers], timeout=seconds + 30)
        took, failed = time.perf_counter() - began, sum(asker.failed for asker in askers)
        return Loop(len(times), took, failed, quantile(times, 0.5) * 1e3, quantile(times, 0.99) * 1e3)

    return uvloop.run(run())


@dataclass
class Streams:
    """What came of streams side by side."""

    asked: int
    frames_each: int
    whole: int = 0
    """Streams with every frame, once, in order, and the end."""
    frames: int = 0
    """Frames that came, of `asked * frames_each`."""
    refused: int = 0
    """Streams without a single frame."""
    most_at_once: int = 0
    """Streams that had begun and not ended, at the same time."""
    seconds: float = 0.0
    first: list[float] = field(default_factory=list)
    """Seconds from the request to the first frame, of every stream that had one."""


class _Reader(asyncio.Protocol):
    """One stream; what it says is kept, and read when all are over."""

    def __init__(self, request: bytes, begun: Callable[[], None], ended: Callable[[bool], None]) -> None:
        self.request, self.begun, self.ended = request, begun, ended
        self.pieces: list[bytes] = []
        self.first, self.over = 0.0, False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.sent = time.perf_counter()
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        if not self.first and b"data:" in data:
            self.first = time.perf_counter() - self.sent
            self.begun()
        if data.endswith(b"0\r\n\r\n"):
            self.finish()
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.finish()

    def finish(self) -> None:
        if not self.over:
            self.over = True
            self.ended(bool(self.first))


class _Body:
    """The body of a response, without its framing."""

    def __init__(self, data: bytes) -> None:
        self.parts: list[bytes] = []
        with contextlib.suppress(httptools.HttpParserError):
            httptools.HttpResponseParser(self).feed_data(data)
        self.text = b"".join(self.parts)

    def on_body(self, part: bytes) -> None:
        self.parts.append(part)


def streams(place: Place, count: int, frames: int, opened_per_second: float, patience: float) -> Streams:
    """Open `count` streams, one after the other, and read each to its end or for `patience` seconds."""

    async def run() -> Streams:
        loop, found = asyncio.get_running_loop(), Streams(count, frames)
        readers: list[_Reader] = []
        began, open_now, over = time.perf_counter(), 0, 0
        done = asyncio.Event()

        def begun() -> None:
            nonlocal open_now
            open_now += 1
            found.most_at_once = max(found.most_at_once, open_now)

        def ended(had_begun: bool) -> None:
            nonlocal open_now, over
            open_now, over = open_now - had_begun, over + 1
            if over == count:
                done.set()

        async def one(number: int) -> None:
            reader = _Reader(place.request(stream=True, user=f"s{number}"), begun, ended)
            readers.append(reader)
            try:
                await loop.create_connection(lambda: reader, "127.0.0.1", place.port)
            except OSError:
                reader.finish()

        tasks = []
        for number in range(count):
            wait = began + number / opened_per_second - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(loop.create_task(one(number)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), patience)
        found.seconds = time.perf_counter() - began
        for task in tasks:
            task.cancel()
        for reader in readers:
            body = _Body(b"".join(reader.pieces)).text
            positions = [int(number) for number in _POSITION.findall(body)]
            found.frames += len(positions)
            found.refused += not positions
            found.whole += positions == list(range(frames)) and body.rstrip().endswith(b"data: [DONE]")
            if reader.first:
                found.first.append(reader.first)
        return found

    return uvloop.run(run())


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of all lies; nan of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
