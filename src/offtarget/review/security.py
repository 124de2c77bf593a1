"""Who may talk to a page of ours: a token once, then a cookie; this host, this origin; headers that forbid the rest."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable, Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'none'",
        "font-src 'none'", "object-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
        "require-trusted-types-for 'script'", "trusted-types 'none'",
    )
)  # fmt: skip
"""Content Security Policy: the page's own script and style, nothing inline, no image, no markup from strings."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Access:
    """The secret of one server and what follows from it: address token, session cookie, form token."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(24)
        # Cookies are shared by all ports of a host: each server needs names of its own.
        mark = self._derive("name")[:8]
        self.session_cookie = f"offtarget_session_{mark}"
        self.reviewer_cookie = f"offtarget_reviewer_{mark}"
        self.session = self._derive("session")
        self.form_token = self._derive("form")

    def knows_token(self, offered: str) -> bool:
        """Whether the token of the address is right; takes the same time for every wrong one."""
        return _same(offered, self.token)

    def has_session(self, request: Request) -> bool:
        """Whether the request carries the cookie that the token is exchanged for."""
        return _same(request.cookies.get(self.session_cookie, ""), self.session)

    def knows_form(self, offered: str) -> bool:
        """Whether a form came from one of our pages."""
        return _same(offered, self.form_token)

    def _derive(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


class Gate:
    """Refuses foreign Host names (DNS rebinding) and foreign origins (CSRF); adds the headers to every response, save
    those that the application sets itself.

    `place` is what the refusals call it. `knows`: whether a request brings a secret that no browser sends by itself, or
    is one that a browser's cookie does not help; of such a one neither host nor origin matters.
    """

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], place: str = "the review page",
        knows: Callable[[Scope], bool] = lambda scope: False,
    ) -> None:  # fmt: skip
        self._app = app
        self._hosts = hosts
        self._place = place
        self._knows = knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    ours.setdefault(name, value)
            await send(message)

        app = self._app
        if self._knows(scope):
            await app(scope, receive, send_with_headers)
            return
        if not self._host_allowed(headers.get("host", "")):
            app = PlainTextResponse(f"This host name is not that of {self._place}.\n", status_code=421)
        elif scope["method"] not in ("GET", "HEAD") and not _same_origin(headers, scope["scheme"]):
            app = PlainTextResponse(f"This form does not come from {self._place}.\n", status_code=403)
        await app(scope, receive, send_with_headers)

    def _host_allowed(self, host: str) -> bool:
        name = host_name(host)
        return name in self._hosts or ("*" in self._hosts and _is_address(name))


def allowed_hosts(bound: str) -> set[str]:
    """Host names a server bound to `bound` answers to; `*`: any numeric address, which cannot be rebound."""
    hosts = {"localhost", "127.0.0.1", "::1"}
    if bound in ("0.0.0.0", "::", ""):  # noqa: S104 - compared with, not bound to
        return hosts | {"*", socket.gethostname().lower(), socket.getfqdn().lower()}
    return hosts | {bound.lower()}


def host_name(host: str) -> str:
    """The name in a Host header, port and brackets left out, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name if not rest or rest.startswith(":") else host
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(headers: Headers, scheme: str) -> bool:
    """Origin and Sec-Fetch-Site, where a browser sends them, must be ours; the form token is asked for anyway.

    Under `Referrer-Policy: no-referrer` browsers send `Origin: null` with forms of our own pages.
    """
    site = headers.get("sec-fetch-site", "same-origin")
    origin = headers.get("origin", "null")
    return site == "same-origin" and origin in ("null", f"{scheme}://{headers.get('host', '')}")


def _same(offered: str, expected: str) -> bool:
    return hmac.compare_digest(offered.encode("utf-8", "replace"), expected.encode())
