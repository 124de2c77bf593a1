"""One request under way: what the client asked, whether it is still there, and what it has got so far."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from offtarget.records.exchanges import Api
from offtarget.records.gateway import Alias
from offtarget.serve.cell import Switch
from offtarget.serve.proxy.asked import Asked
from offtarget.serve.routing.split import Place
from offtarget.serve.transport.protocol import Headers

OWN = "offtarget"
"""ASGI extension of our server: `tell` takes whom to call when the client leaves; `whole`: the request is all there."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Tell(Protocol):
    """Takes whom to call when the client leaves."""

    def __call__(self, leave: Callable[[], None], *, no_more: bool = False) -> None:
        """`no_more`: it is not to be called any more."""


class Abortable(Protocol):
    """What ends when the client leaves."""

    def abort(self) -> None:
        """End now."""


class Client:
    """The other end. From the moment the request is whole its leaving ends what is done for it."""

    __slots__ = ("_receive", "_send", "_tell", "_watch", "begun", "ended", "left", "request_id", "upstream")

    def __init__(self, receive: Receive, send: Send, request_id: str, tell: Tell | None = None) -> None:
        """Without `tell` a task looks out for the client's leaving."""
        self._receive, self._send, self._tell = receive, send, tell
        self.request_id = request_id
        self.begun = self.ended = self.left = False
        """Whether the head was sent; whether everything was; whether the client went before that."""
        self.upstream: Abortable | None = None
        """What is aborted when it leaves."""
        self._watch: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next part of the request, before `watch` is called."""
        return await self._receive()

    def watch(self) -> None:
        """Begin to look out for the client's leaving."""
        if self._tell is not None:
            self._tell(self._gone)
        else:
            self._watch = asyncio.get_running_loop().create_task(self._until_it_leaves())

    def unwatch(self) -> None:
        """Stop looking."""
        if self._tell is not None:
            self._tell(self._gone, no_more=True)
        if self._watch is not None:
            self._watch.cancel()

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the head."""
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, body: bytes) -> None:
        """Send a piece; waits while the client reads slowly."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last piece."""
        self.ended = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _until_it_leaves(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
        self._gone()

    def _gone(self) -> None:
        if not self.ended:
            self.left = True
            if self.upstream is not None:
                self.upstream.abort()


class Call:
    """A request to one of the endpoints that a model answers."""

    __slots__ = (
        "alias", "api", "asked", "client", "headers", "path", "place", "slot", "started", "switch", "told", "unix",
        "whole",
    )  # fmt: skip

    def __init__(
        self, client: Client, alias: Alias, slot: int, api: Api | None, path: bytes, headers: Headers, asked: Asked,
        place: Place, switch: Switch, started: float, whole: float, unix: float,
    ) -> None:  # fmt: skip
        self.client, self.alias, self.slot, self.api = client, alias, slot, api
        """`api` None: embeddings, which only the base answers."""
        self.path, self.headers, self.asked, self.place, self.switch = path, headers, asked, place, switch
        self.started, self.whole, self.unix = started, whole, unix
        """When its head and when all of it was there, by a clock that only runs forward; the first in Unix seconds."""
        self.told = False
        """Whether the monitor is to hear of it; known before there is an answer."""
