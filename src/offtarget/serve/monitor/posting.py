"""One POST of JSON over HTTP or HTTPS, in the calling thread, to an address that was checked."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping

from offtarget.serve.gateway.addresses import check_address, resolved, taken_apart

MOST_BYTES = 4 * 1024 * 1024
"""Of an answer; of a longer one no more is read."""


def post(
    url: str, body: bytes, headers: Mapping[str, str] | None = None, *, seconds: float = 10.0, ca_file: str = "",
    most: int = MOST_BYTES,
) -> tuple[int, bytes]:  # fmt: skip
    """Status and body of the answer; a redirect is not followed, since it could lead anywhere.

    The name is resolved once, and the address that was checked is the one that is asked. Raises InputError for an
    address that may not be asked, OSError or HTTPException where there is no answer.
    """
    found: list[str] = []

    def remember(host: str, port: int) -> list[str]:
        found.extend(resolved(host, port))
        return found

    check_address(url, remember)
    parts = taken_apart(url)
    host, secure = str(parts.hostname), parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    if secure:
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(ca_file)
        connection: http.client.HTTPConnection = _Named(found[0], port, host, seconds, context)
    else:
        connection = http.client.HTTPConnection(found[0], port, timeout=seconds)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        name = f"[{host}]" if ":" in host else host
        sent = {"Host": f"{name}:{parts.port}" if parts.port else name, "Content-Type": "application/json"}
        connection.request("POST", target, body, {**sent, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read(most)
    finally:
        connection.close()


class _Named(http.client.HTTPSConnection):
    """HTTPS to an address, with the certificate checked for a name."""

    def __init__(self, address: str, port: int, name: str, seconds: float, context: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=seconds, context=context)
        self._name, self._trusted = name, context

    def connect(self) -> None:
        """Connect; the certificate must be the name's."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._trusted.wrap_socket(self.sock, server_hostname=self._name)
