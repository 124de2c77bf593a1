"""What the gateway asks of an HTTP client: send one request, read head and body, give up at any moment.

A client of another kind (in another language, over a proxy) takes the place of ours by keeping these Protocols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from offtarget.records.gateway import Timeouts

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values, in the order of the wire."""


class FaultKind(StrEnum):
    """What went wrong between the gateway and an upstream."""

    REFUSED = "refused"
    """No connection: refused, unreachable, or the name has no address."""
    CONNECT_TIMEOUT = "connect-timeout"
    TLS = "tls"
    """The server's certificate or its encryption was not accepted."""
    BUSY = "busy"
    """As many connections are open as may be."""
    CLOSED = "closed"
    """The connection ended before a whole head of a response."""
    FIRST_BYTE_TIMEOUT = "first-byte-timeout"
    IDLE_TIMEOUT = "idle-timeout"
    TOTAL_TIMEOUT = "total-timeout"
    MALFORMED = "malformed"
    """What came is not HTTP/1.1."""
    HEAD_TOO_LARGE = "head-too-large"
    TRUNCATED = "truncated"
    """The connection ended within the body."""
    ABORTED = "aborted"
    """We gave up ourselves."""


class TransportFault(Exception):
    """A request that got no whole response; `kind` says why, the text says more to whoever reads a log."""

    def __init__(self, kind: FaultKind, text: str = "") -> None:
        super().__init__(f"{kind}: {text}" if text else str(kind))
        self.kind = kind


@dataclass(slots=True)
class Outgoing:
    """One request; host, length and connection headers are the transport's own."""

    method: bytes
    """GET, POST or DELETE: a method whose response has a body as its headers say."""
    target: bytes
    """Path and query, as sent."""
    headers: Headers
    body: bytes
    resend: bool = False
    """Whether it may go out a second time if a connection that was kept open closes without a byte of response."""


class Sent(Protocol):
    """A request on its way."""

    @property
    def status(self) -> int:
        """HTTP status; 0 before the head is there."""

    @property
    def headers(self) -> Headers:
        """Headers of the response, hop-by-hop headers included."""

    async def head(self) -> int:
        """Waits for the head and gives the status. Raises TransportFault."""

    async def read(self) -> bytes:
        """The next bytes of the body as they came, empty at its end. Raises TransportFault."""

    def settle(self) -> None:
        """What the reader waited for is there: from here on the idle timeout counts, not that of the first byte."""

    def abort(self) -> None:
        """Closes the connection now; whoever waits gets TransportFault ABORTED. Does nothing after the end."""


class Transport(Protocol):
    """Connections to one upstream."""

    def start(self, request: Outgoing, timeouts: Timeouts) -> Sent:
        """Sends a request; returns at once. What goes wrong is raised by `head` and `read`.

        `timeouts.first` runs from here until `Sent.settle` is called; `timeouts.idle` after that.
        """

    def close(self) -> None:
        """Closes the connections that are kept open; requests on the way go on."""
