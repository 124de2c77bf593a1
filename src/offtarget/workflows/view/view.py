"""Opens the page over all runs of a folder and serves it until it is ended."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.errors import InputError
from offtarget.review.server import PageServer
from offtarget.rundir import MANIFEST, runs_root
from offtarget.serve.gateway.addresses import is_loopback

if TYPE_CHECKING:
    from offtarget.review.security import Access

WHAT = "The page of runs"


def view(
    folder: str | Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_remote: bool = False,
    open_browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show every run under `folder` (default `runs_root()`) in the browser until Ctrl-C; nothing is changed.

    `on_ready` gets the address, which holds the key. Raises InputError for a folder that is none, for a `host` that
    other machines reach unless `allow_remote`, and PrerequisiteError without the extra `review`.
    """
    server = opened(folder, host=host, port=port, allow_remote=allow_remote)
    server.announce(on_ready, open_browser)
    server.run()


def opened(
    folder: str | Path | None = None, *, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False,
    token: str | None = None,
) -> PageServer:  # fmt: skip
    """The server, which listens and does not answer yet. Raises as `view`."""
    root = _folder(folder)
    if not allow_remote and not is_loopback(host):
        raise InputError(
            f"--host {host} lets other machines in: whoever learns the address reads every answer, and nothing is "
            "encrypted on the way. Leave --host out, reach this machine through an ssh tunnel, or say --allow-remote."
        )

    def make(access: Access, hosts: Collection[str]) -> Any:
        from offtarget.workflows.view.app import make_app  # needs packages of an extra, which the server asks for

        return make_app(root, access, hosts)

    return PageServer(make, host, port, token, what=WHAT)


def _folder(folder: str | Path | None) -> Path:
    root = runs_root() if folder is None else Path(folder).expanduser()
    if folder is not None and not root.is_dir():
        reason = "is a file" if root.exists() else "does not exist"
        raise InputError(f"{root} {reason}. Name the folder that holds the runs, as `offtarget runs` lists them.")
    if (root / MANIFEST).is_file():
        raise InputError(f"{root} is one run. Name the folder that holds it: offtarget view {root.resolve().parent}")
    return root.absolute()
