"""Where an upstream is: its URL taken apart once, so that no request has to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from offtarget.errors import InputError


@dataclass(frozen=True, slots=True)
class Address:
    """An upstream's host, port, whether it speaks TLS, and the path before every target (`/v1`, or empty)."""

    host: str
    port: int
    tls: bool
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the `Host` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def address_of(url: str) -> Address:
    """The address that a URL names. Raises InputError for anything but http(s)://HOST[:PORT][/PATH]."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"'{url}' is no address of a server: {error}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise InputError(f"'{url}' is no address of a server. Write http://HOST:PORT/v1 or https://HOST/v1.")
    if parts.query or parts.fragment or any(not "!" <= c <= "~" for c in url):
        raise InputError(f"'{url}' has more than host, port and path. Write http://HOST:PORT/v1 or https://HOST/v1.")
    tls = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/"))
