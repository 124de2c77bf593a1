"""Several processes that train one model together, as started by `accelerate launch` or torchrun."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records.runs import Repeatable
from offtarget.rundir import MANIFEST, RunDir
from offtarget.workflows.runs.begin import begin_or_resume

PATIENCE = 120.0
"""Seconds a process waits for the first one to make the run directory."""


def rank() -> int:
    """Number of this process, 0 for the first or only one."""
    return int(os.environ.get("RANK") or 0)


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def wait_for(path: Path) -> None:
    """Return once the first process has written `path`. InputError when it never does."""
    until = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > until:
            raise InputError(
                f"Process {rank()} waited {PATIENCE:.0f} s for {path}; the first process did not write it."
            )
        time.sleep(0.1)


@contextmanager
def run_of_all(manifest: Repeatable, slug: str, run: str | Path | None) -> Iterator[RunDir]:
    """The run directory of a training, begun or gone on with by the first process; the others wait for it."""
    if run is not None and rank():
        wait_for(Path(run) / MANIFEST)
        yield RunDir(Path(run))
        return
    with begin_or_resume(manifest, slug, run) as directory:
        yield directory
