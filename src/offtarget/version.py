"""Which version of offtarget this is, and the stamp by which everything it writes says so."""

from __future__ import annotations

import time

__version__ = "0.1.0"


def stamp() -> dict[str, str]:
    """When (ISO 8601, UTC) and by which version something was written."""
    return {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "version": __version__}
