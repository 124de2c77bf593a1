"""The HTTP server of a worker: uvicorn with the bounds it does not have itself.

uvicorn waits for ever for the rest of a request's head and takes a head of any length; what it refuses, it refuses in
plain text. The parser (llhttp, not lenient) refuses what could be read in two ways. Where a client offers another
protocol (Java's own client offers HTTP/2 with every request) uvicorn loses the body; here the offer is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offtarget.records.gateway import GatewayLimits
from offtarget.serve.proxy.call import OWN
from offtarget.serve.proxy.errors import Refusal

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]
"""An ASGI application: `GatewayApp`, or one around it."""
HEAD_SECONDS = 20.0
"""Seconds that the head of a request may take."""
READER_SECONDS = 60.0
"""Seconds in which a client must take something of what waits for it."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
KEPT_OPEN = 75
"""Seconds that a client's connection is kept: more than load balancers keep theirs, so that they close first."""


def server_config(
    app: App, limits: GatewayLimits, *, head_seconds: float = HEAD_SECONDS, reader_seconds: float = READER_SECONDS
) -> uvicorn.Config:
    """How uvicorn runs a worker; the caller gives it a socket."""

    class Bounded(StrictProtocol):
        longest_head = limits.header_bytes
        slowest_head = head_seconds
        slowest_reader = reader_seconds

    return uvicorn.Config(
        app,
        http=Bounded,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEPT_OPEN,
        timeout_graceful_shutdown=None,
    )


class Reply:
    """The transport of one answer: its head and its first bytes go out in one write, which costs half of two."""

    __slots__ = ("_head", "_passing", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._passing = False

    def write(self, data: bytes) -> None:
        """uvicorn writes `100 Continue` where the client waits for it, then a head, then the body."""
        if self._passing:
            self._transport.write(data)
        elif self._head:
            self._passing = True
            self._transport.write(self._head + data)
        elif data == _CONTINUE:
            self._transport.write(data)
        else:
            self._head = data

    def close(self) -> None:
        """Close after what was written."""
        if self._head and not self._passing:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._transport.is_closing()


class StrictProtocol(HttpToolsProtocol):
    """A connection of a client."""

    longest_head = GatewayLimits().header_bytes
    slowest_head = HEAD_SECONDS
    slowest_reader = READER_SECONDS

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._leave: Callable[[], None] | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._again = False
        """Whether the head that the parser reads is only said again for it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first head may take so long; later ones begin with their first byte."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more; an answer under way is told at once."""
        self._head_came()
        self._reader_goes_on()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn forgets it after a reset, and the timer would keep all of this
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def data_received(self, data: bytes) -> None:
        """Counts what comes before the end of a head."""
        if self._head_timer is None and (self.cycle is None or not self.cycle.more_body):
            self._expect_head()
        self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.send_400_response("")
            return
        if self._head_timer is not None and self._head_bytes > self.longest_head:
            self._refuse(Refusal(431, "headers_too_large", f"The headers are longer than {self.longest_head:,} bytes."))

    def _feed(self, data: bytes) -> None:
        """Have the parser read; an offer of another protocol is passed over, as RFC 9110 (7.8) allows."""
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    raise
                data = data[upgrade.args[0] :]
            # This parser has stopped behind the head: another one reads on, told how the body is framed.
            framing = [(n, v) for n, v in self.headers if n in (b"content-length", b"transfer-encoding")]
            lines = b"".join(b"%s: %s\r\n" % header for header in framing)
            self.parser = httptools.HttpRequestParser(self)
            with contextlib.suppress(AttributeError):  # as uvicorn has it, where httptools does
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._again = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\nhost: x\r\n%s\r\n" % lines)

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._again:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its address."""
        if not self._again:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if not self._again:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole. The request's task has not begun yet and finds in its scope how it is told of the end."""
        if self._again:
            self._again = False
            return
        self._head_came()
        super().on_headers_complete()
        self.cycle.transport = Reply(self.transport)  # type: ignore[assignment]
        self.scope["extensions"] = {OWN: {"tell": self._tell}}

    def on_message_complete(self) -> None:
        """All of the request is there, mostly before its task begins."""
        if self.parser.should_upgrade():
            return  # the parser takes the body for another protocol; it comes yet
        super().on_message_complete()
        self.scope["extensions"][OWN]["whole"] = True

    def pause_writing(self) -> None:
        """The client takes less than there is; whoever takes nothing at all for too long is let go."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """It took enough."""
        self._reader_goes_on()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What the parser refused, in the shape that clients of OpenAI know."""
        self._refuse(Refusal(400, "bad_request", "This is no HTTP/1.1 request that can be read in one way only."))

    def _tell(self, leave: Callable[[], None], *, no_more: bool = False) -> None:
        """Whom to call when the client leaves; one at a time, since a connection has one answer under way."""
        if not no_more:
            self._leave = leave
        elif self._leave == leave:
            self._leave = None

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.slowest_head, self._head_too_late)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(Refusal(408, "request_timeout", f"The headers took longer than {self.slowest_head:g} s."))
        elif not self.transport.is_closing():
            self.transport.close()

    def _expect_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._reader_timer = self.loop.call_later(self.slowest_reader, self._look_at_reader)

    def _reader_goes_on(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _look_at_reader(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:
            self._expect_reader()
        else:
            self._reader_timer = None
            self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        self._head_came()
        if self.transport.is_closing():
            return
        if self.pipeline or (self.cycle and self.cycle.response_started and not self.cycle.response_complete):
            # An answer is under way on this connection; another one in the middle of it would be taken for part of it.
            self.transport.abort()
            return
        body = refusal.body()
        head = f"HTTP/1.1 {refusal.status} {refusal.code}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()
