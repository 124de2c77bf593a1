"""What the process that runs benchmarks says on the way: one JSON object a line, over a pipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from offtarget.errors import InputError
from offtarget.records.benchmark_runs import Job
from offtarget.records.from_json import from_json
from offtarget.rundir import read_json, to_jsonable

KINDS = ("plan", "obstacle", "at", "done", "refused", "said", "spent", "end")
"""A task that was looked at; a benchmark that cannot run; requests done; scores on disk; an error of the user; a note;
tokens read and written; all is done."""


class Teller:
    """Says what happens; a reader that is gone ends this process."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def tell(self, kind: str, **what: object) -> None:
        """One line."""
        self._pipe.write(json.dumps({"kind": kind, **{k: to_jsonable(v) for k, v in what.items()}}).encode() + b"\n")
        self._pipe.flush()


def heard(line: bytes) -> Mapping[str, Any] | None:
    """A line taken apart; None for one that a crash tore."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("kind") in KINDS else None


def read_job(path: Path) -> Job:
    """What is to be done. InputError for a damaged file."""
    try:
        return from_json(Job, read_json(path))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} does not say which benchmarks to run ({error}).") from None
