"""Shows the review of an audit until somebody finishes it or presses Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Literal

from offtarget.detect.review.review import Review
from offtarget.review.server import PageServer, need_packages

if TYPE_CHECKING:
    from offtarget.review.security import Access

Ending = Literal["finished", "decided", "interrupted"]
"""`finished`: with the page's button; `decided`: the verdict fell and that sufficed; `interrupted`: Ctrl-C."""


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
    need_packages()
    from offtarget.detect.review.app import make_app

    ending: list[Ending] = []

    def end(reason: str) -> None:
        ending.append("decided" if reason == "decided" else "finished")
        server.end_soon()

    def made(access: Access, hosts: Collection[str]) -> Any:
        return make_app(review, access, hosts, end, until_decided)

    server = PageServer(made, host, port, token)
    server.announce(on_ready, open_browser)
    try:
        server.run()
    except KeyboardInterrupt:
        return "interrupted"
    return ending[-1] if ending else "interrupted"
