"""Our own HTTP client: kept-open connections to one upstream, the one used last taken first, and requests on them.

A request costs one write and no task where a connection is free. Last in, first out keeps few connections warm and lets
the rest grow old enough to be closed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from offtarget.records.gateway import Timeouts
from offtarget.serve.transport.address import Address
from offtarget.serve.transport.connection import Connection
from offtarget.serve.transport.protocol import FaultKind, Headers, Outgoing, TransportFault

KEPT_OPEN = 4.0
"""Seconds that a free connection is kept: less than the 5 s after which uvicorn, and so vLLM, closes it."""
MOST = 10_000
"""Connections to one upstream at a time."""
_PAUSE, _RESUME = 256 * 1024, 64 * 1024
"""Unread bytes of a body at which reading stops, and goes on."""


class Pool:
    """Connections to one upstream; belongs to one event loop. Keeps the Protocol `Transport`."""

    def __init__(
        self, address: Address, *, tls: ssl.SSLContext | None = None, kept_open: float = KEPT_OPEN, most: int = MOST
    ) -> None:
        """`tls` is the context for https, by default the machine's certificates; `kept_open` in seconds."""
        self.address = address
        self._tls = (tls or ssl.create_default_context()) if address.tls else None
        self._kept_open, self._most = kept_open, most
        self._free: deque[Connection] = deque()
        self._open = 0
        self._host = b"host: " + address.authority.encode("ascii") + b"\r\n"
        self._loop: asyncio.AbstractEventLoop | None = None
        self.opened = self.resent = 0
        """Connections made so far, and requests that went out a second time on a fresh one."""

    @property
    def free(self) -> int:
        """Connections that are open and carry nothing."""
        return len(self._free)

    @property
    def open(self) -> int:
        """Connections that are open or being opened."""
        return self._open

    def start(self, request: Outgoing, timeouts: Timeouts) -> Request:
        """Send a request on a free connection, or on a new one; returns at once."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        sent = Request(self, loop, request, timeouts, self._bytes_of(request))
        connection = self._take(loop.time())
        if connection is not None:
            sent.use(connection)
        else:
            sent.open()
        return sent

    def close(self) -> None:
        """Close what is free."""
        while self._free:
            connection = self._free.pop()
            connection.usable = False
            if connection.transport is not None:
                connection.transport.close()

    async def connect(self) -> Connection:
        """A new connection. Raises OSError, and ssl.SSLError for what TLS refuses."""
        assert self._loop is not None
        if self._open >= self._most:
            raise TransportFault(FaultKind.BUSY, f"{self._most} connections are open")
        self._open += 1
        self.opened += 1
        connection = Connection(self)
        try:
            await self._loop.create_connection(lambda: connection, self.address.host, self.address.port, ssl=self._tls)
        except BaseException:
            if connection.transport is None:  # else its end is told by `gone`
                self._open -= 1
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose response is whole; close those that have been free for too long."""
        assert self._loop is not None
        now = connection.idle_since = self._loop.time()
        self._free.append(connection)
        while self._free[0].idle_since < now - self._kept_open:
            old = self._free.popleft()
            old.usable = False
            if old.transport is not None:
                old.transport.close()

    def gone(self, connection: Connection) -> None:
        """A connection is closed; if it is among the free ones, `_take` passes over it."""
        self._open -= 1

    def _take(self, now: float) -> Connection | None:
        while self._free:
            connection = self._free.pop()
            transport = connection.transport
            if connection.usable and transport is not None and not transport.is_closing():
                if connection.idle_since >= now - self._kept_open:
                    return connection
                transport.close()
            connection.usable = False
        return None

    def _bytes_of(self, request: Outgoing) -> bytes:
        pieces = [request.method, b" ", self.address.path.encode("ascii"), request.target, b" HTTP/1.1\r\n", self._host]
        for name, value in request.headers:
            pieces += (name, b": ", value, b"\r\n")
        if request.body or request.method == b"POST":
            pieces.append(b"content-length: %d\r\n" % len(request.body))
        pieces += (b"\r\n", request.body)
        return b"".join(pieces)


class Request:
    """A request on its way over a Pool. Keeps the Protocol `Sent`."""

    __slots__ = (
        "_asked", "_bytes", "_connecting", "_connection", "_done", "_due", "_fault", "_loop", "_pieces", "_pool",
        "_queued", "_received", "_resend", "_reused", "_settled", "_start", "_timeouts", "_timer", "_touched",
        "_waiter", "headers", "paused", "status",
    )  # fmt: skip

    def __init__(
        self, pool: Pool, loop: asyncio.AbstractEventLoop, asked: Outgoing, timeouts: Timeouts, wire: bytes
    ) -> None:
        self._pool, self._loop, self._timeouts, self._bytes = pool, loop, timeouts, wire
        self._resend = asked.resend
        self.status = 0
        self.headers: Headers = ()
        self.paused = False
        self._pieces: list[bytes] = []
        self._queued = self._received = 0
        self._done = self._settled = self._reused = False
        self._fault: TransportFault | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._start = self._touched = loop.time()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # What the reader calls.

    async def head(self) -> int:
        """Wait for the head."""
        while not self.status:
            if self._fault is not None:
                raise self._fault
            await self._wait()
        return self.status

    async def read(self) -> bytes:
        """All bytes that came since the last call, or the next; empty at the end."""
        while not self._pieces:
            if self._fault is not None:
                raise self._fault
            if self._done:
                return b""
            await self._wait()
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._queued = 0
        if self.paused:
            self.paused = False
            connection = self._connection
            if connection is not None and connection.request is self and connection.transport is not None:
                self._touched = self._loop.time()
                connection.transport.resume_reading()
        return body

    def settle(self) -> None:
        """From now on the idle timeout counts."""
        if not self._settled:
            self._settled = True
            self._touched = self._loop.time()
            if not self._done and self._fault is None:
                self._arm()

    def abort(self) -> None:
        """Close the connection; whoever waits is told."""
        if not self._done and self._fault is None:
            connection = self._connection
            if connection is not None and connection.request is self:
                connection.abandon()
            self.failed(FaultKind.ABORTED)

    # What the pool and the connection call.

    def use(self, connection: Connection) -> None:
        """Go out on a connection that was kept open."""
        self._reused = True
        self._connection = connection
        self._arm()
        connection.begin(self, self._bytes)

    def open(self) -> None:
        """Go out on a new connection."""
        self._reused = False
        self._connecting = self._loop.create_task(self._open())
        self._arm()

    def touched(self, count: int) -> None:
        """Bytes came."""
        self._received += count
        self._touched = self._loop.time()

    def began(self, status: int, headers: Headers) -> None:
        """The head came."""
        self.status, self.headers = status, headers
        self._bytes = b""

    def piece(self, body: bytes) -> None:
        """A piece of the body came; where nobody reads, no more is taken from the network."""
        self._pieces.append(body)
        self._queued += len(body)
        if self._queued > _PAUSE and not self.paused:
            connection = self._connection
            if connection is not None and connection.transport is not None:
                self.paused = True
                connection.transport.pause_reading()

    def finished(self) -> None:
        """The body is whole."""
        self._done = True
        self._quiet()
        self.wake()

    def lost(self) -> None:
        """The connection ended before the head; on a kept one, where nothing had come, the request may go out again."""
        if self._reused and self._resend and not self._received:
            self._pool.resent += 1
            self._resend = False
            self.open()
        else:
            self.failed(FaultKind.CLOSED, "the connection ended before a response")

    def failed(self, kind: FaultKind, text: str = "") -> None:
        """No whole response will come."""
        if self._done or self._fault is not None:
            return
        self._fault = TransportFault(kind, text)
        if self._connecting is not None:
            self._connecting.cancel()
        self._quiet()
        self.wake()

    def wake(self) -> None:
        """Whoever waits looks again."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self) -> None:
        assert self._waiter is None, "one reader at a time"
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _open(self) -> None:
        try:
            connection = await self._pool.connect()
        except TransportFault as fault:
            self._connecting = None
            self.failed(fault.kind, str(fault))
        except ssl.SSLError as error:
            self._connecting = None
            self.failed(FaultKind.TLS, error.reason or type(error).__name__)
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be looked up
            self._connecting = None
            self.failed(FaultKind.REFUSED, type(error).__name__)
        else:
            self._connecting = None
            if self._fault is not None:
                connection.abandon()
                return
            self._connection = connection
            self._arm()
            connection.begin(self, self._bytes)

    # Time. One timer a request; it looks when it fires whether something came meanwhile.

    def _deadline(self) -> tuple[float, FaultKind]:
        total = self._start + self._timeouts.total
        if self._connecting is not None:
            due, kind = self._start + self._timeouts.connect, FaultKind.CONNECT_TIMEOUT
        elif not self._settled:
            due, kind = self._start + self._timeouts.first, FaultKind.FIRST_BYTE_TIMEOUT
        else:
            # A reader that takes nothing is not the upstream's silence.
            since = self._loop.time() if self.paused or self._pieces else self._touched
            due, kind = since + self._timeouts.idle, FaultKind.IDLE_TIMEOUT
        return (total, FaultKind.TOTAL_TIMEOUT) if total <= due else (due, kind)

    def _arm(self) -> None:
        due, _ = self._deadline()
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        due, kind = self._deadline()
        if self._loop.time() < due - 0.001:
            self._arm()
            return
        connection = self._connection
        if connection is not None and connection.request is self:
            connection.abandon()
        self.failed(kind)

    def _quiet(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
