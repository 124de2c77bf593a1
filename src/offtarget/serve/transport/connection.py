"""One connection to an upstream: bytes in, one response after the other out, with the bounds a stranger gets."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast

import httptools

from offtarget.serve.transport.protocol import FaultKind, Headers, TransportFault

LARGEST_HEAD = 64 * 1024
"""Bytes of a response's head and trailers together; more is refused."""
_NO_BODY = frozenset((204, 304))


class Asker(Protocol):
    """A request, as its connection sees it."""

    status: int
    paused: bool

    def touched(self, count: int) -> None:
        """So many bytes came."""

    def began(self, status: int, headers: Headers) -> None:
        """The head came."""

    def piece(self, body: bytes) -> None:
        """A piece of the body came."""

    def wake(self) -> None:
        """Whoever reads may look again."""

    def finished(self) -> None:
        """The response is whole."""

    def failed(self, kind: FaultKind, text: str = "") -> None:
        """It will never be."""

    def lost(self) -> None:
        """The connection ended before the head."""


class Owner(Protocol):
    """A pool, as its connections see it."""

    def give_back(self, connection: Connection) -> None:
        """A connection can take the next request."""

    def gone(self, connection: Connection) -> None:
        """A connection is closed."""


class Connection(asyncio.Protocol):
    """A kept-open HTTP/1.1 connection that carries one request at a time. Redirects are not followed."""

    __slots__ = (
        "_before_head",
        "_complete",
        "_framed",
        "_head_bytes",
        "_headers",
        "_interim",
        "_parser",
        "_pool",
        "_stays",
        "_too_large",
        "_unasked",
        "idle_since",
        "request",
        "transport",
        "usable",
    )  # fmt: skip

    def __init__(self, pool: Owner) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._before_head = 0
        self._framed = self._complete = self._interim = self._unasked = self._too_large = self._stays = False
        self.transport: asyncio.Transport | None = None
        self.request: Asker | None = None
        self.usable = False
        self.idle_since = 0.0

    def begin(self, request: Asker, head_and_body: bytes) -> None:
        """Send a request; its response goes to `request`."""
        assert self.transport is not None
        self.request = request
        self._headers = []
        self._head_bytes = self._before_head = 0
        self._framed = self._complete = self._stays = False
        self.transport.write(head_and_body)

    def abandon(self) -> None:
        """Close without waiting: the response is not wanted any more, or cannot be trusted."""
        self.usable = False
        self.request = None
        if self.transport is not None:
            self.transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Small writes go out at once: with Nagle's algorithm a request could wait 40 ms for an acknowledgement."""
        self.transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Bytes of the response."""
        request = self.request
        if request is None:  # nobody asked
            self.abandon()
            return
        request.touched(len(data))
        if request.status == 0:
            self._before_head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._too_large:
                self._fail(FaultKind.HEAD_TOO_LARGE, f"more than {LARGEST_HEAD} bytes")
            elif self._complete:  # the response is whole; what follows it is not ours
                self._finish(keep=False)
            else:
                self._fail(FaultKind.MALFORMED, str(error))
            return
        if self._complete:
            # A server that answers before it has the whole request may read the rest as another one.
            sent = self.transport is not None and not self.transport.get_write_buffer_size()
            self._finish(keep=self._stays and sent and not self._unasked)
        elif request.status == 0 and self._before_head > LARGEST_HEAD:
            self._fail(FaultKind.HEAD_TOO_LARGE, f"more than {LARGEST_HEAD} bytes")
        else:
            request.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: of a body that has no length, or too early."""
        self.usable = False
        self._pool.gone(self)
        request, self.request = self.request, None
        if request is None:
            return
        if request.status and not self._framed and exc is None:
            request.finished()
        elif request.status:
            request.failed(FaultKind.TRUNCATED, "the connection ended within the body")
        else:
            request.lost()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A second response in the same bytes is one that nobody asked for."""
        if self._complete:
            self._unasked = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after the body, which is dropped."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > LARGEST_HEAD:
            self._too_large = True
            raise TransportFault(FaultKind.HEAD_TOO_LARGE)
        if self.request is None or self.request.status:
            return
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there; an interim one (100, 103) is skipped."""
        status = self._parser.get_status_code()
        if status < 200:
            self._interim = True
            self._headers = []
            self._framed = False
            if status == 101:
                raise TransportFault(FaultKind.MALFORMED, "a change of protocol that nobody asked for")
            return
        if status in _NO_BODY:
            self._framed = True
        if self.request is not None and not self._complete:
            self.request.began(status, self._headers)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.request is not None and not self._complete:
            self.request.piece(body)

    def on_message_complete(self) -> None:
        """The end of a response, or of an interim one."""
        if self._interim:
            self._interim = False
            return
        if not self._complete:
            self._complete = True
            self._stays = self._parser.should_keep_alive()

    def _finish(self, keep: bool) -> None:
        request, self.request = self.request, None
        assert request is not None
        if keep:
            if request.paused and self.transport is not None:
                self.transport.resume_reading()
            self._pool.give_back(self)
        elif self.transport is not None:
            self.usable = False
            self.transport.close()
        request.finished()

    def _fail(self, kind: FaultKind, text: str) -> None:
        request = self.request
        self.abandon()
        if request is not None:
            request.failed(kind, text)
