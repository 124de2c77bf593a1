"""The ASGI application of a worker: what is asked, by whom, and whether it may be; `answering.py` does the rest."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from offtarget.records.exchanges import Api
from offtarget.records.gateway import Alias, GatewaySettings
from offtarget.serve.cell import Cell
from offtarget.serve.counters import OPEN, REFUSED, Counters
from offtarget.serve.proxy.answering import Answering, Models
from offtarget.serve.proxy.asked import read_asked
from offtarget.serve.proxy.call import OWN, Call, Client, Message, Receive, Send
from offtarget.serve.proxy.clients import Clients
from offtarget.serve.proxy.errors import Refusal
from offtarget.serve.proxy.headers import client_headers
from offtarget.serve.proxy.rates import Rates
from offtarget.serve.proxy.upstreams import Upstreams
from offtarget.serve.routing.keys import HEADER, conversation_key
from offtarget.serve.routing.pins import Pins
from offtarget.serve.routing.split import place_of, salt_of
from offtarget.serve.sink import ExchangeSink
from offtarget.serve.transport.address import Address
from offtarget.serve.transport.protocol import Headers, Transport, TransportFault

_LOG = logging.getLogger("offtarget.serve")
_ENDPOINTS: dict[bytes, Api | None] = {
    b"/chat/completions": "chat",
    b"/completions": "completions",
    b"/responses": "responses",
    b"/embeddings": None,
}
_EARLIER = re.compile(rb"/responses/[A-Za-z0-9_:-]+(?:/cancel|/input_items)?")
"""What may be asked about an earlier response. Nothing that another server could take for a path of its own: it would
be asked with the model's key."""
_JSON = (b"content-type", b"application/json")


class _Gone(Exception):
    """The client left before its request was whole."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What the settings in force come to; replaced as a whole."""

    settings: GatewaySettings
    aliases: dict[str, tuple[int, Alias, Models]]
    clients: Clients
    listed: bytes


@dataclass(slots=True)
class _Head:
    """What the headers of a request say to us."""

    authorization: bytes | None
    key: bytes | None
    length: int | None


class GatewayApp:
    """A worker's ASGI application; belongs to one event loop."""

    def __init__(
        self,
        settings: GatewaySettings,
        cell: Cell,
        sink: ExchangeSink,
        counters: Counters,
        *,
        secret: bytes = b"",
        pins: Pins | None = None,
        open_pool: Callable[[Address, str], Transport] | None = None,
    ) -> None:
        """`secret` salts the split and must be the same in all workers and replicas. All workers share the file of
        `pins` (which model made a response) and one beside it (how many requests a client has left).

        Raises InputError for a URL in the settings that is none.
        """
        self._cell, self._counters, self._secret, self._pins = cell, counters, secret, pins or Pins()
        self._open = 0
        # Beside the pins, so that whoever shares these among workers shares what clients have left too.
        self._rates = Rates(self._pins.path.with_suffix(".rates") if self._pins.path else None)
        self._upstreams = Upstreams(open_pool)
        self._answering = Answering(sink, counters, self._pins)
        self._salts: dict[tuple[str, int], bytes] = {}
        self._table = self._table_of(settings, None)

    def reload(self, settings: GatewaySettings) -> None:
        """Put other settings in force for new requests. Raises InputError for a wrong URL, and changes nothing."""
        self._table = self._table_of(settings, self._table)

    def close(self) -> None:
        """Close what is kept open to the models, and end copies of requests that are under way."""
        self._answering.close()
        self._upstreams.close()
        self._rates.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request, or the beginning and end of the worker."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        told = (scope.get("extensions") or {}).get(OWN, {})
        client = Client(receive, send, "req_" + os.urandom(16).hex(), told.get("tell"))
        self._open += 1
        self._counters.gauge(OPEN, self._open)
        try:
            await self._serve(scope, client)
        except Refusal as refusal:
            await self._refuse(client, refusal)
        except _Gone:
            pass
        except Exception:  # a mistake of ours must not end with half an answer and no word
            _LOG.exception("a request could not be handled (%s)", client.request_id)
            if not client.begun:
                await self._refuse(
                    client, Refusal(500, "internal_error", "The gateway made a mistake.", kind="server_error")
                )
        finally:
            self._open -= 1
            self._counters.gauge(OPEN, self._open)
            client.unwatch()

    async def _serve(self, scope: Message, client: Client) -> None:
        table = self._table
        started, unix = monotonic(), time.time()
        path: bytes = scope["raw_path"]
        method: str = scope["method"]
        if path == b"/healthz" and method == "GET":
            await self._whole(client, 200, b'{"status":"ok"}')
            return
        limits = table.settings.limits
        head = _read_head(scope["headers"], limits.header_bytes, scope["http_version"])
        if self._open > limits.connections:
            raise Refusal(
                503, "overloaded", "Too many requests are under way. Try again.", kind="server_error",
                headers=((b"retry-after", b"1"),), close=True,
            )  # fmt: skip
        name = table.clients.admit(head.authorization, started)
        path = path.removeprefix(b"/v1")
        if path not in _ENDPOINTS:
            await self._other(table, scope, path, method, client)
            return
        if method != "POST":
            raise _wrong_method(b"POST")
        told = (scope.get("extensions") or {}).get(OWN, {})
        if told.get("whole"):  # nothing to wait for, so no timer
            body = await self._whole_body(client, limits.body_bytes)
        else:
            body = await self._body(client, head.length, limits.body_bytes, limits.body_seconds)
        whole = monotonic()
        asked = read_asked(body)
        found = table.aliases.get(asked.model)
        if found is None:
            raise _no_model()
        slot, alias, models = found
        api = _ENDPOINTS[path]
        switch = self._cell.read(slot)
        _, key = conversation_key(head.key, asked.fields, api or "completions", name)
        place = place_of(self._salt(alias.name, switch.rollout), key)
        client.watch()
        call = Call(client, alias, slot, api, path, scope["headers"], asked, place, switch, started, whole, unix)
        await self._answering.answer(call, models, show_arm=table.settings.show_arm)

    async def _whole_body(self, client: Client, most: int) -> bytes:
        message = await client.receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body: bytes = message["body"]
        if len(body) > most:
            raise _too_long(most)
        return body

    async def _body(self, client: Client, length: int | None, most: int, seconds: float) -> bytes:
        """The whole body. Raises Refusal where it is too long (413) or too slow (408)."""
        if length is not None and length > most:
            raise _too_long(most)
        pieces, total = [], 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await client.receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    piece = message.get("body", b"")
                    total += len(piece)
                    if total > most:
                        raise _too_long(most)
                    pieces.append(piece)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Refusal(408, "request_timeout", f"The body took longer than {seconds:g} s.", close=True) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _other(self, table: _Table, scope: Message, path: bytes, method: str, client: Client) -> None:
        """The list of models, and earlier responses of the Responses API; nothing else is served."""
        if path == b"/models" or path.startswith(b"/models/"):
            if method != "GET":
                raise _wrong_method(b"GET")
            await self._whole(client, 200, _models(table, path.removeprefix(b"/models").removeprefix(b"/")))
        elif _EARLIER.fullmatch(path) and method in ("GET", "DELETE", "POST"):
            await self._earlier(table, scope, path, method, client)
        else:
            raise Refusal(404, "unknown_url", "This gateway does not serve this address.", close=method == "POST")

    async def _earlier(self, table: _Table, scope: Message, path: bytes, method: str, client: Client) -> None:
        """What is asked about a response goes to the model that made it."""
        name = path.split(b"/")[2].decode("ascii", "replace")
        makers = [
            models.tuned if arm == "tuned" and models.tuned is not None else models.base
            for _, alias, models in table.aliases.values()
            if (arm := self._pins.get(alias.name, name)) is not None
        ]
        if not makers:
            raise Refusal(404, "not_found", "No response of this id was made here.", close=method == "POST")
        model = makers[0]
        query = scope.get("query_string", b"")
        target = path + b"?" + query if query else path
        sent = model.fetch(method.encode(), target, scope["headers"], client.request_id)
        client.upstream = sent
        client.watch()
        try:
            status = await sent.head()
            sent.settle()
            headers = [*client_headers(sent.headers), (b"x-request-id", client.request_id.encode())]
            piece = await sent.read()
            await client.begin(status, headers)
            while piece:
                await client.more(piece)
                piece = await sent.read()
        except TransportFault:
            if client.left or client.begun:
                return
            raise Refusal(502, "upstream_unreachable", "The model cannot be reached.", kind="server_error") from None
        await client.end()

    async def _whole(self, client: Client, status: int, body: bytes, headers: Headers = ()) -> None:
        given = {name for name, _ in headers}
        own = [] if b"x-request-id" in given else [(b"x-request-id", client.request_id.encode())]
        await client.begin(status, [_JSON, (b"content-length", b"%d" % len(body)), *own, *headers])
        await client.end(body)

    async def _refuse(self, client: Client, refusal: Refusal) -> None:
        if not refusal.counted:
            self._counters.count(REFUSED, str(refusal.status))
        await self._whole(client, refusal.status, refusal.body(), refusal.headers)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _salt(self, alias: str, rollout: int) -> bytes:
        salt = self._salts.get((alias, rollout))
        if salt is None:
            if len(self._salts) > 1000:
                self._salts.clear()
            salt = self._salts[alias, rollout] = salt_of(self._secret, alias, rollout)
        return salt

    def _table_of(self, settings: GatewaySettings, old: _Table | None) -> _Table:
        models = self._upstreams.models(settings)
        aliases = {
            alias.name: (slot, alias, Models(base, tuned))
            for slot, (alias, (base, tuned)) in enumerate(zip(settings.aliases, models, strict=True))
        }
        for name, (_, alias, fresh) in aliases.items():
            before = old.aliases.get(name) if old is not None else None
            if before is not None and before[1].tuned == alias.tuned:
                fresh.circuit = before[2].circuit
        clients = Clients(settings.keys, self._rates)
        listed = json.dumps({"object": "list", "data": [_listed(name) for name in aliases]}).encode()
        return _Table(settings, aliases, clients, listed)


def _read_head(headers: Headers, most: int, version: str) -> _Head:
    """The headers that mean something to us. Raises Refusal for more than `most` bytes and what has two readings."""
    authorization = key = length = None
    hosts = total = 0
    for name, value in headers:
        total += len(name) + len(value) + 4
        if name == b"authorization":
            authorization = value
        elif name == b"host":
            hosts += 1
        elif name == HEADER:
            key = value
        elif name == b"content-length":
            length = int(value)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Refusal(415, "unsupported_encoding", "Send the body without a content encoding.", close=True)
    if version not in ("1.0", "1.1") or hosts > 1 or (version == "1.1" and not hosts):
        raise Refusal(400, "bad_request", "This is no HTTP/1.1 request that names one host.", close=True)
    if total > most:
        raise Refusal(431, "headers_too_large", f"The headers are longer than {most:,} bytes.", close=True)
    return _Head(authorization, key, length)


def _too_long(most: int) -> Refusal:
    return Refusal(413, "request_too_large", f"The body is longer than {most:,} bytes.", close=True)


def _no_model() -> Refusal:
    message = "No model of this name is served here. GET /v1/models lists those that are."
    return Refusal(404, "model_not_found", message, param="model")


def _wrong_method(right: bytes) -> Refusal:
    message = f"This address takes {right.decode()}."
    return Refusal(405, "method_not_allowed", message, headers=((b"allow", right),), close=True)


def _models(table: _Table, name: bytes) -> bytes:
    if not name:
        return table.listed
    found = name.decode("ascii", "replace")
    if found not in table.aliases:
        raise _no_model()
    return json.dumps(_listed(found)).encode()


def _listed(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "offtarget"}
