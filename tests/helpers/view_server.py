"""Run as a program: the page over all runs of a folder. Arguments: folder, port. Prints the address first."""

from __future__ import annotations

import sys

from offtarget.workflows.view.view import opened

if __name__ == "__main__":
    server = opened(sys.argv[1], port=int(sys.argv[2]), token="test")
    print(server.url, flush=True)  # noqa: T201
    server.run()
