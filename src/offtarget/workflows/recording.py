"""What every verb writes into its run directory in the same way."""

from __future__ import annotations

import time
from collections.abc import Iterable

from offtarget import __version__
from offtarget.rundir import JsonLines, RunDir


def stamp() -> dict[str, str]:
    """When (ISO 8601, UTC) and by which version something was written."""
    return {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "version": __version__}


def write_records(run: RunDir, name: str, records: Iterable[object]) -> None:
    """Write a JSONL file of a run anew."""
    path = run.file(name)
    path.unlink(missing_ok=True)
    lines = JsonLines(path)
    try:
        lines.extend(records)
    finally:
        lines.close()
