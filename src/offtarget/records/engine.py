"""How work that comes in independent units is spread over processes and machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Who does the units of a verb's work."""

    engine: Literal["local", "ray"] = "local"
    """`local`: this process, one unit after another. `ray`: workers of a Ray cluster, each with one core."""
    address: str | None = None
    """`HOST:PORT` of the cluster, or `auto` for the one that this machine is part of; None starts one of the command's
    own on this machine, with a worker for each core, and ends it."""
    workers: int | None = None
    """Units at the same time at most; None: as many as the cluster has cores and memory for."""
