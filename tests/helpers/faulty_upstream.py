"""An upstream on a raw socket that does to every request exactly what a script says, well-formed or not."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Do(Enum):
    """What a script does beside sending bytes and waiting (a number of seconds)."""

    CLOSE = "end the connection in order"
    RESET = "end the connection with a reset"
    STALL = "say nothing until the other side leaves"
    GO = "wait for `FaultyUpstream.go`"


Script = Sequence[bytes | float | Do]
"""Bytes are sent, numbers waited. After the last step the connection takes the next request."""


@dataclass
class Received:
    """A request as it came."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the other side left while the script stalled or sent."""

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The only value of a header; None where it is not there."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None


class FaultyUpstream:
    """Serves on 127.0.0.1; each request takes the next script, the last one stays. Use as `async with`."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests: list[Received] = []
        self.connections = 0
        self.go = asyncio.Event()
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Address with `/v1`."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> FaultyUpstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while (received := await _request(reader, number)) is not None:
                self.requests.append(received)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                try:
                    if not await self._play(script, reader, writer, received):
                        return
                except (ConnectionError, asyncio.IncompleteReadError):
                    received.left.set()
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _play(
        self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: Received
    ) -> bool:
        """Whether the connection goes on."""
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, int | float):
                await asyncio.sleep(step)
            elif step is Do.GO:
                await self.go.wait()
            elif step is Do.RESET:
                writer.transport.abort()
                return False
            elif step is Do.CLOSE:
                writer.close()
                await writer.wait_closed()
                return False
            else:
                assert await reader.read(1) == b"", "the next request came while the last one had no answer"
                received.left.set()
                return False
        return True


async def _request(reader: asyncio.StreamReader, connection: int) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = int(next((value for name, value in headers if name == "content-length"), "0"))
    return Received(line, headers, await reader.readexactly(length), connection)


def response(
    body: bytes | dict[str, Any], status: str = "200 OK", *headers: str, type: str = "application/json"
) -> bytes:
    """A whole response with its length."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (f"HTTP/1.1 {status}", f"content-type: {type}", f"content-length: {len(content)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def stream_head(*headers: str, status: str = "200 OK", type: str = "text/event-stream") -> bytes:
    """The head of a chunked response."""
    lines = (f"HTTP/1.1 {status}", f"content-type: {type}", "transfer-encoding: chunked", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body; of nothing: its end."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(data: dict[str, Any] | str, name: str = "") -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
