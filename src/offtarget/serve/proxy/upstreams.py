"""The models behind the gateway: a connection pool for each server, shared by all models on it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace

from offtarget.errors import InputError
from offtarget.records.gateway import Alias, GatewaySettings, Timeouts, Upstream
from offtarget.serve.proxy.asked import Asked
from offtarget.serve.proxy.headers import upstream_headers
from offtarget.serve.transport.address import Address, address_of
from offtarget.serve.transport.pool import Pool
from offtarget.serve.transport.protocol import Headers, Outgoing, Sent, Transport
from offtarget.version import __version__

_PLAIN = (
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"offtarget/" + __version__.encode()),
)
_JSON = (b"content-type", b"application/json")


def upstream_address(upstream: Upstream) -> Address:
    """The address of an upstream; a URL without a path means `/v1`. Raises InputError."""
    address = address_of(upstream.url)
    return address if address.path else replace(address, path="/v1")


@dataclass(frozen=True, slots=True)
class Model:
    """One model on one server."""

    upstream: Upstream
    transport: Transport
    headers: tuple[tuple[bytes, bytes], ...]
    """Sent with every request; the server's key is among them and nowhere else."""
    whole: Timeouts
    """For an answer that is not streamed: its first byte comes with its last, and late."""

    def ask(self, path: bytes, given: Headers, asked: Asked, request_id: str) -> Sent:
        """Send a client's request under this model's name."""
        body = asked.with_model(self.upstream.model)
        headers = [*self.headers, _JSON, _id(request_id), *upstream_headers(given)]
        request = Outgoing(b"POST", path, headers, body, resend=_without_effects(path, asked))
        return self.transport.start(request, self.upstream.timeouts if asked.stream else self.whole)

    def fetch(self, method: bytes, target: bytes, given: Headers, request_id: str) -> Sent:
        """Send a request without a body."""
        headers = [*self.headers, _id(request_id), *upstream_headers(given)]
        return self.transport.start(Outgoing(method, target, headers, b"", resend=method == b"GET"), self.whole)


def _id(request_id: str) -> tuple[bytes, bytes]:
    """Its digits alone, which can be read as a UUID: llama.cpp's Python server answers anything else with 400."""
    return b"x-request-id", request_id.removeprefix("req_").encode()


def _without_effects(path: bytes, asked: Asked) -> bool:
    """Whether nothing stays on the server after the answer, so that the request may go out twice."""
    return path != b"/responses" or asked.fields.get("store") is False


class Upstreams:
    """The models of all aliases by position and role. Pools outlive a change of settings where the server stays."""

    def __init__(self, open_pool: Callable[[Address, str], Transport] | None = None) -> None:
        """`open_pool` makes the client of a server from its address and the file of certificates to trust."""
        self._open_pool = open_pool or _pool
        self._pools: dict[tuple[Address, str], Transport] = {}

    def models(self, settings: GatewaySettings) -> list[tuple[Model, Model | None]]:
        """Base and tuned model of each alias. Raises InputError for a URL that is none."""
        pools: dict[tuple[Address, str], Transport] = {}

        def model(alias: Alias, upstream: Upstream) -> Model:
            at = (upstream_address(upstream), upstream.ca_file)
            pools[at] = pools.get(at) or self._pools.get(at) or self._open_pool(*at)
            timeouts = upstream.timeouts
            # Half of the time for the tuned model, so that a base that then answers still finds its client there.
            first = max(timeouts.first, timeouts.total / 2) if upstream is alias.tuned else timeouts.total
            return Model(upstream, pools[at], (*_PLAIN, *_key(upstream)), replace(timeouts, first=first))

        models = [
            (model(alias, alias.base), model(alias, alias.tuned) if alias.tuned else None) for alias in settings.aliases
        ]
        for at, pool in self._pools.items():
            if at not in pools:
                pool.close()
        self._pools = pools
        return models

    def close(self) -> None:
        """Close all connections that carry nothing."""
        for pool in self._pools.values():
            pool.close()


def _key(upstream: Upstream) -> tuple[tuple[bytes, bytes], ...]:
    if not upstream.key:
        return ()
    if not all("!" <= c <= "~" for c in upstream.key):
        raise InputError(f"The key of the model '{upstream.model}' has characters that no HTTP header can have.")
    return ((b"authorization", b"Bearer " + upstream.key.encode("ascii")),)


def _pool(address: Address, ca_file: str) -> Pool:
    context = None
    if address.tls:
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(ca_file)
    return Pool(address, tls=context)
