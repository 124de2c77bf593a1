"""Runs the pages of a review: in the foreground until somebody ends it, or beside a command that waits for labels."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from offtarget.errors import InputError, PrerequisiteError

if TYPE_CHECKING:
    from offtarget.review.security import Access

LAST_PAGE_SECONDS = 1.0
"""How long the server stays after the last page, so that the browser gets its style sheet too."""

GOODBYE_SECONDS = 2
"""How long open requests may take when the server ends."""

MakeApp = Callable[["Access", Collection[str]], Any]
"""From the secret of the server and the host names it answers to, to the application."""


class PageServer:
    """One application on a socket of its own, behind a secret of its own. Port 0 takes a free one.

    Raises PrerequisiteError without the extra `review`, InputError where the address cannot be had.
    """

    def __init__(
        self, make_app: MakeApp, host: str = "127.0.0.1", port: int = 0, token: str | None = None, *,
        what: str = "The review page",
    ) -> None:  # fmt: skip
        """`what` is served, for messages."""
        need_packages(what)
        import uvicorn

        from offtarget.review.security import Access, allowed_hosts

        access = Access(token)
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(access, allowed_hosts(host)),
                log_level="error",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=GOODBYE_SECONDS,
                proxy_headers=False,
            )
        )
        self._listener = _listen(host, port, what)
        self.url = _address(host, self._listener.getsockname()[1], access.token)
        """What a browser has to open; it holds the secret."""

    def run(self) -> None:
        """Serve until `end_soon` or Ctrl-C, which is raised as KeyboardInterrupt."""
        with self._listener:
            self._server.run(sockets=[self._listener])

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Serve in a thread of its own while the block runs. Ctrl-C is the caller's."""
        thread = threading.Thread(target=self.run, name="review page", daemon=True)
        thread.start()
        try:
            while not self._server.started and thread.is_alive():
                time.sleep(0.01)
            yield
        finally:
            self._server.should_exit = True
            thread.join(GOODBYE_SECONDS + 3)

    def end_soon(self) -> None:
        """End once the browser has had time to get the last page."""
        last = threading.Timer(LAST_PAGE_SECONDS, setattr, (self._server, "should_exit", True))
        last.daemon = True
        last.start()

    def announce(self, on_ready: Callable[[str], None] | None, open_browser: bool) -> None:
        """Tell the address; others may open it too."""
        if on_ready is not None:
            on_ready(self.url)
        if open_browser:
            webbrowser.open(self.url)


def need_packages(what: str = "The review page") -> None:
    """PrerequisiteError without the extra `review`."""
    for package in ("starlette", "uvicorn"):
        try:
            __import__(package)
        except ImportError:
            raise PrerequisiteError.for_extra(package, "review", what) from None


def _listen(host: str, port: int, what: str) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{what} cannot be served on {host}:{port} ({error}). Give another --port, or 0 for a free one."
        ) from None


def _address(host: str, port: int, token: str) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host  # noqa: S104
    shown = f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown
    return f"http://{shown}:{port}/?token={token}"
