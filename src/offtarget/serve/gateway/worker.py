"""A worker: the data path in a process of its own, on the listening socket that all workers share.

Started as `python -m offtarget.serve.gateway.worker DESCRIPTOR`; what it works with comes over the line
(`gateway/line.py`). Without a supervisor it closes every switch, so that nothing goes to a tuned model that nobody
could stop any more, finishes what is open and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from offtarget.records.from_json import from_json
from offtarget.records.gateway import GatewaySettings
from offtarget.serve.cell import CLOSED, Cell
from offtarget.serve.counters import SEND_SECONDS, Counters, CounterSender
from offtarget.serve.gateway.line import ChildLine
from offtarget.serve.proxy.app import GatewayApp
from offtarget.serve.proxy.server import server_config
from offtarget.serve.routing.pins import Pins
from offtarget.serve.sink import NoSink
from offtarget.serve.wire import SocketSink

ORPHANED_SECONDS = 30.0
"""What a worker gives open requests once its supervisor is gone."""
_BEAT = 1.0

App = Callable[[MutableMapping[str, Any], Any, Callable[[MutableMapping[str, Any]], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """What a worker is started with."""

    settings: GatewaySettings
    listener: int
    """Descriptor of the listening socket."""
    cell: str
    """Path."""
    exchanges: str = ""
    """Socket of the monitor; empty: nobody listens."""
    counts: str = ""
    """Socket that takes counters; empty: nobody does."""
    secret: str = ""
    """Salts the split, in hex digits; the same in all workers and replicas."""
    pins: str = ""
    """File in which workers remember who made a response."""


class DataApp:
    """What is on the data port: health, and the gateway; while it drains every answer closes its connection.

    A client whose connection is simply closed may have sent its next request by then, and would lose it.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.draining = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        path = scope.get("path")
        if path == "/healthz" or path == "/readyz":  # a chain is quicker than a collection here
            await self._health(path, send)
        elif self.draining:
            await self._app(scope, receive, _closing(send))
        else:
            await self._app(scope, receive, send)

    async def _health(self, path: str, send: Any) -> None:
        ready = path == "/healthz" or not self.draining
        body = b'{"status": "ok"}\n' if ready else b'{"status": "draining"}\n'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += [(b"connection", b"close")] if self.draining else []
        await send({"type": "http.response.start", "status": 200 if ready else 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _closing(send: Any) -> Any:
    async def closing(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
            message = {**message, "headers": [*kept, (b"connection", b"close")]}
        await send(message)

    return closing


class Server(uvicorn.Server):
    """uvicorn, whose end is decided here and by no signal of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield

    def stop_listening(self) -> None:
        """Take no more connections; those that wait in the socket are for other workers."""
        for listening in self.servers:
            listening.close()

    def busy(self) -> int:
        """Connections with a request under way."""
        return sum(_is_busy(connection) for connection in self.server_state.connections)

    def open(self) -> int:
        """Connections, idle ones included."""
        return len(self.server_state.connections)


def _is_busy(connection: Any) -> bool:
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete


class Worker:
    """One worker, in its event loop."""

    def __init__(self, line: ChildLine) -> None:
        self._line, self._start = line, from_json(WorkerStart, line.start)
        self._cell = Cell.open(Path(self._start.cell))
        self._counters = Counters()
        secret = bytes.fromhex(self._start.secret)
        pins = Pins(Path(self._start.pins)) if self._start.pins else None
        self._sink = SocketSink(Path(self._start.exchanges)) if self._start.exchanges else NoSink()
        self.gateway = GatewayApp(
            self._start.settings, self._cell, self._sink, self._counters, secret=secret, pins=pins
        )
        self.app = DataApp(self.gateway)
        self.server = Server(server_config(self.app, self._start.settings.limits))
        self.server.config.timeout_graceful_shutdown = 5
        self._draining: asyncio.Task[None] | None = None
        self._orphan = False
        self._until, self._idle_too = float("inf"), True

    async def run(self) -> None:
        """Serve until it is told to end, and everything open is finished."""
        loop = asyncio.get_running_loop()
        listener = socket.socket(fileno=self._start.listener)

        def told(value: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(self._told, value)

        def gone() -> None:
            loop.call_soon_threadsafe(self._orphaned)

        self._line.listen(told, gone)
        loop.add_signal_handler(signal.SIGTERM, self._end, ORPHANED_SECONDS, False)
        tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._send_counters())]
        gc.freeze()  # what was made at the start stays; looking at it again and again makes requests wait
        try:
            await self.server.serve(sockets=[listener])
        finally:
            for task in tasks:
                task.cancel()
            if isinstance(self._sink, SocketSink):
                self._sink.close()
            if self._orphan:  # nobody else takes away what the processes shared
                shutil.rmtree(self._cell.path.parent, ignore_errors=True)

    def _told(self, told: dict[str, Any]) -> None:
        if told.get("do") == "end":
            self._end(float(told.get("seconds", ORPHANED_SECONDS)), bool(told.get("idle_too", False)))

    def _orphaned(self) -> None:
        self._orphan = True
        for slot in range(self._cell.slots):
            self._cell.write(slot, CLOSED)
        self._end(ORPHANED_SECONDS, False)

    def _end(self, seconds: float, idle_too: bool) -> None:
        """`idle_too`: connections without a request may send one more, which is answered, before they are closed.

        Who is told a second time may get less time, not more.
        """
        self._until = min(self._until, time.monotonic() + seconds)
        self._idle_too = self._idle_too and idle_too
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        self.app.draining = True
        self.server.stop_listening()
        quiet = 0
        while time.monotonic() < self._until and quiet < 3:
            await asyncio.sleep(0.05)
            waiting = self.server.open() if self._idle_too else self.server.busy()
            quiet = 0 if waiting else quiet + 1
        self.server.should_exit = True

    async def _beat(self) -> None:
        while not self.server.started:
            await asyncio.sleep(0.01)
        self._line.say(ready=True)
        while True:
            await asyncio.sleep(_BEAT)
            self._line.say(beat=True, open=self.server.open(), draining=self.app.draining)

    async def _send_counters(self) -> None:
        if not self._start.counts:
            return
        sender = CounterSender(Path(self._start.counts), self._counters)
        try:
            while True:
                await asyncio.sleep(SEND_SECONDS)
                sender.send()
        finally:
            sender.close()


def main() -> None:
    """The process."""
    line = ChildLine.inherited()
    if not line.start:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import uvloop

    async def run() -> None:
        await Worker(line).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main()
