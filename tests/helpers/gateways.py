"""A gateway in this process between a scripted base and a scripted tuned model, asked over raw sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faulty_upstream import FaultyUpstream, chunk, event, stream_head
from uvicorn.server import ServerState

from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import Alias, GatewaySettings, Timeouts, Upstream
from offtarget.serve.cell import Cell, Switch
from offtarget.serve.counters import Counters
from offtarget.serve.proxy.app import GatewayApp
from offtarget.serve.proxy.server import server_config

SHORT = Timeouts(connect=1.0, first=0.3, idle=0.3, total=3.0)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def run(test: Coroutine[Any, Any, None], seconds: float = 60.0) -> None:
    """Run a test in the event loop that workers have: uvloop, where there is one."""
    with asyncio.Runner(loop_factory=None if sys.platform == "win32" else _uvloop()) as runner:
        runner.run(asyncio.wait_for(test, seconds))


def _uvloop() -> Any:
    import uvloop

    return uvloop.new_event_loop


def said(text: str) -> dict[str, Any]:
    """A whole chat completion."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "real-name",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def delta(reason: str | None = None, **delta: Any) -> bytes:
    """One event of a streamed chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return event(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]}
    )


ROLE = delta(role="assistant", content="")
DONE = event("[DONE]")


def spoken(*words: str) -> list[bytes]:
    """Script of a whole streamed chat completion."""
    events = [ROLE, *(delta(content=word) for word in words), delta("stop"), DONE]
    return [stream_head(), *map(chunk, events), chunk(b"")]


@dataclass
class Kept:
    """A sink that keeps everything."""

    exchanges: list[Exchange] = field(default_factory=list)
    room: bool = True

    def offer(self, exchange: Exchange) -> bool:
        if self.room:
            self.exchanges.append(exchange)
        return self.room


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    """Whether the body ended as its framing promised."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"]["code"])


@dataclass
class Gateway:
    """A gateway that runs."""

    port: int
    app: GatewayApp
    cell: Cell
    sink: Kept
    counters: Counters

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(
        self, body: Mapping[str, Any] | bytes = CHAT, path: str = "/v1/chat/completions", method: str = "POST",
        **headers: str,
    ) -> Answer:  # fmt: skip
        """One request on a connection of its own; underscores in names of headers are hyphens."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.raw(request(content, path, method, **headers))

    async def raw(self, data: bytes) -> Answer:
        """The answer to these bytes."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            return await read_answer(reader)
        finally:
            writer.close()

    def switch(self, share: float = 1.0, *, shadow: bool = False, base_sample: float = 1.0, rollout: int = 1) -> None:
        self.cell.write(0, Switch(rollout, share, base_sample, shadow))


def request(content: bytes, path: str = "/v1/chat/completions", method: str = "POST", **headers: str) -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if content or method == "POST":
        lines.append(f"content-length: {len(content)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head[:-4].split("\r\n")
    headers: dict[str, str] = {}
    for name, _, value in (each.partition(": ") for each in lines):
        assert name not in headers, f"{name} twice"
        headers[name] = value
    return int(line.split()[1]), headers


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """A whole answer, or as much of it as there is."""
    status, headers = await read_head(reader)
    body, whole = b"", True
    try:
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
    except asyncio.IncompleteReadError as early:
        body, whole = body + early.partial, False
    except ConnectionError:
        whole = False
    return Answer(status, headers, body, whole)


@asynccontextmanager
async def gateway(
    tmp_path: Path, base: FaultyUpstream, tuned: FaultyUpstream | None = None, *, timeouts: Timeouts = SHORT,
    head_seconds: float = 20.0, reader_seconds: float = 60.0, **more: Any,
) -> AsyncIterator[Gateway]:  # fmt: skip
    """A gateway that sends everything to the tuned model until `switch` says otherwise."""
    alias = Alias(
        "m",
        base=Upstream(base.url, "base-model", key="base-key", timeouts=timeouts),
        tuned=Upstream(tuned.url, "tuned-model", key="tuned-key", timeouts=timeouts) if tuned else None,
    )
    settings = GatewaySettings(aliases=more.pop("aliases", (alias,)), **more)
    cell = Cell.create(tmp_path / "cell", len(settings.aliases))
    sink, counters = Kept(), Counters()
    app = GatewayApp(settings, cell, sink, counters, secret=b"test")
    config = server_config(app, settings.limits, head_seconds=head_seconds, reader_seconds=reader_seconds)
    config.loop = "asyncio"
    config.load()
    config.loaded_app = app  # without uvicorn's own wrapper
    state = ServerState()
    loop = asyncio.get_running_loop()
    sock = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}), sock=sock
    )
    running = Gateway(sock.getsockname()[1], app, cell, sink, counters)
    running.switch()
    try:
        yield running
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        app.close()
        await asyncio.sleep(0)
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=5)
        cell.close()
