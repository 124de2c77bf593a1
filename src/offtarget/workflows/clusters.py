"""What a verb needs to have its units of work done by the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from offtarget.asking.cache import CACHE_ENV, cache_root
from offtarget.engines.on_ray import Cluster, connected
from offtarget.numbers import many
from offtarget.progress import OnProgress, Progress
from offtarget.records.engine import EngineSettings
from offtarget.register import STATE_ENV, state_root

_OURS = "OFFTARGET_"
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


@contextmanager
def workers(
    engine: EngineSettings | None, packages: Sequence[str], on_progress: OnProgress
) -> Iterator[Cluster[Any] | None]:
    """The cluster whose workers do the units, all with the same versions of `packages`; None where this process does.

    Raises InputError.
    """
    if engine is None or engine.engine == "local":
        yield None
        return
    on_progress(Progress("starting workers" if engine.address is None else f"joining the cluster at {engine.address}"))
    with connected(engine, packages) as cluster:
        on_progress(Progress(f"{many(len(cluster.machines()), 'machine')} with workers"))
        yield cluster


def environment() -> dict[str, str]:
    """Settings of offtarget that are variables here and hold no secret; the folders that all workers share."""
    ours = {n: v for n, v in os.environ.items() if n.startswith(_OURS) and not any(word in n for word in _SECRET)}
    return {**ours, CACHE_ENV: str(cache_root().absolute()), STATE_ENV: str(state_root().absolute())}
