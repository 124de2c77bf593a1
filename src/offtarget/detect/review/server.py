"""Runs the page in the foreground until somebody finishes the review or presses Ctrl-C."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable
from typing import Literal

from offtarget.detect.review.review import Review
from offtarget.errors import InputError, PrerequisiteError

Ending = Literal["finished", "decided", "interrupted"]
"""`finished`: with the page's button; `decided`: the verdict fell and that sufficed; `interrupted`: Ctrl-C."""

LAST_PAGE_SECONDS = 1.0
"""How long the server stays after the last page, so that the browser gets its style sheet too."""

GOODBYE_SECONDS = 2
"""How long open requests may take when the server ends."""


def serve(
    review: Review,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] | None = None,
    open_browser: bool = False,
    until_decided: bool = False,
    token: str | None = None,
) -> Ending:
    """Show a review; returns when it ends, with every label on disk. Port 0 takes a free one.

    `on_ready` gets the address with its token once it can be opened; others may open it too.
    Raises PrerequisiteError without the extra `review`, InputError where the address cannot be had.
    """
    for package in ("starlette", "uvicorn"):
        _need(package)
    import uvicorn

    from offtarget.detect.review.app import make_app
    from offtarget.detect.review.security import Access, allowed_hosts

    access = Access(token)
    ending: list[Ending] = []

    def end(reason: str) -> None:
        ending.append("decided" if reason == "decided" else "finished")
        last = threading.Timer(LAST_PAGE_SECONDS, setattr, (server, "should_exit", True))
        last.daemon = True
        last.start()

    app = make_app(review, access, allowed_hosts(host), end, until_decided)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="off", ws="none", server_header=False,
        timeout_graceful_shutdown=GOODBYE_SECONDS, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with _listen(host, port) as listener:
        url = _address(host, listener.getsockname()[1], access.token)
        if on_ready is not None:
            on_ready(url)
        if open_browser:
            webbrowser.open(url)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            return "interrupted"
    return ending[-1] if ending else "interrupted"


def _need(package: str) -> None:
    try:
        __import__(package)
    except ImportError:
        raise PrerequisiteError.for_extra(package, "review", "The review page") from None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"The review page cannot listen on {host}:{port} ({error}). Give another --port, or 0 for a free one."
        ) from None


def _address(host: str, port: int, token: str) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host  # noqa: S104
    shown = f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown
    return f"http://{shown}:{port}/?token={token}"
