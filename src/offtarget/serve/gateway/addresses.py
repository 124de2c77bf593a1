"""Which configured addresses a gateway may ask: any but those at which a cloud gives away its secrets.

The rule: addresses come from the operator's settings and never from a client, so loopback and private networks, where
models stand, are allowed. Refused is what no model stands at and what attackers aim for: link-local addresses
(169.254.0.0/16 and fe80::/10, with the metadata services of the clouds in them), the metadata addresses outside those,
multicast, and the address that means nobody. The name is resolved first, so that none leads there by a detour.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urlsplit

from offtarget.errors import InputError

Resolve = Callable[[str, int], Iterable[str]]
"""From a host and a port to its addresses as text; OSError where there is none."""

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd20:ce::254")
)
"""Metadata services that are not link-local: of AWS over IPv6, Alibaba, Oracle, Azure, Google over IPv6."""
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata", "metadata.goog"})


def taken_apart(url: str) -> SplitResult:
    """A URL whose parts can be used. Raises InputError for what no upstream can have."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise InputError(f"'{shown(url)}' is no address. Write it like http://127.0.0.1:8000/v1.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"'{shown(url)}' is no address. Write it like http://127.0.0.1:8000/v1.")
    if parts.username is not None or parts.password is not None:
        raise InputError(f"The address of {host} holds a name or password. Give the key as `key`.")
    if port == 0:
        raise InputError(f"'{shown(url)}' has port 0, at which nobody listens.")
    return parts


def shown(url: str) -> str:
    """A URL for messages, without what may be secret in it."""
    head, at, rest = url.partition("://")
    place = rest if at else head
    place = place.partition("?")[0].partition("#")[0]
    before, sign, host = place.partition("/")[0].rpartition("@")
    if sign:
        place = f"[hidden]@{host}{place[len(before) + 1 + len(host) :]}"
    return (f"{head}://{place}" if at else place)[:120]


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def check_address(url: str, resolve: Resolve = resolved) -> None:
    """InputError for a URL that is none, whose host is not found, or that leads where no model stands."""
    parts = taken_apart(url)
    host = str(parts.hostname)
    if host.rstrip(".").lower() in _METADATA_NAMES:
        raise InputError(_refusal(host, host))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = list(resolve(host, port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The host '{host}' is not found ({reason}). Correct the address.") from None
    for address in found:
        if not may_be_asked(address):
            raise InputError(_refusal(host, address))


def may_be_asked(address: str) -> bool:
    """Whether a model may stand at an IP address; False for what is no address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if inner is not None:
        ip = inner
    return not (ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _METADATA)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refusal(host: str, address: str) -> str:
    leads = "" if host == address else f" (it leads to {address})"
    return (
        f"The host '{host}' is refused{leads}: link-local, multicast and metadata addresses hold no model, and a "
        "request there can give away the secrets of a machine."
    )
