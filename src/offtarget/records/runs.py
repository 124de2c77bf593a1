"""What every run says of itself when it starts: its manifest, `run.json`; each verb adds what it was asked."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

CONNECTIONS = 64
"""Requests to a remote endpoint at the same time where nobody says how many."""


@dataclass(frozen=True, slots=True)
class OpenSettings:
    """How local weights are held and remote endpoints are asked."""

    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`; None takes CUDA where there is one."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """None means float32 on CPU and bfloat16 on CUDA."""
    batch_size: int | None = None
    """Most answers decoded together; None chooses by memory."""
    trust_remote_code: bool = False
    """Whether code that comes with a model may run."""
    connections: int = CONNECTIONS
    """Requests to a remote endpoint at the same time; fewer where it says that they are too many."""
    timeout_seconds: float = 120.0
    """For one request to a remote endpoint."""
    retries: int = 4
    """Further tries of a request that failed for a passing reason."""
    endpoints: str | None = None
    """The settings file of remote endpoints; None takes the one that OFFTARGET_ENDPOINTS names, if any."""
    chat_template: str | None = None
    """Which chat template local models are asked with: `base`, `tuned` (an adapter's own, where it brings one), one by
    name (`chatml`, `plain`, ...), or a file. None: each model's own, an adapter's being that of its base."""
    reference: str | None = None
    """Local weights, as `hf/BASE+ADAPTER`, that served models are held to before they are asked."""
    prices: str | None = None
    """The file of prices; None takes the one that OFFTARGET_PRICES names, if any."""
    max_cost: float | None = None
    """Most money that all requests together may cost, in the currency of the prices."""
    max_requests: int | None = None
    """Most requests to base, tuned model and judges together."""

    def over(self, earlier: OpenSettings | None) -> OpenSettings:
        """What was chosen here, and for the rest what was chosen earlier."""
        usual = OpenSettings()
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(earlier or usual, **{n: value for n, value in given.items() if value != getattr(usual, n)})


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model of a run."""

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """How a run was started."""

    verb: str
    created: str = ""
    """ISO 8601, UTC; stamped with the version when it is written."""
    version: str = ""
    folder: str = ""
    """Where it was started, which paths that are not whole begin at; no report shows it."""
    opening: OpenSettings | None = None
    """How models are opened, where something was chosen."""
    objects: tuple[str, ...] = ()
    """Arguments that were objects of the caller: no file holds them, so to go on they must be given again."""

    def resume_command(self, path: Path) -> str:
        """What goes on with the run in that folder: a command, or a line of Python where objects are needed again."""
        if self.objects:
            again = "".join(f", {name}=..." for name in self.objects)
            return f"offtarget.resume({str(path)!r}{again}) in Python, with the same objects"
        return f"offtarget resume {shlex.quote(str(path))}"

    @property
    def base_name(self) -> str | None:
        """The model that everything is measured against, for lists."""
        return None

    @property
    def tuned_name(self) -> str | None:
        """The model that is judged, changed or made, for lists."""
        return None

    @property
    def data_name(self) -> str | None:
        """The data set that is looked at, for lists."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeatable(Manifest):
    """How a run was started that goes on when the same is asked of it again."""

    fingerprint: str
    """Of everything that its results depend on."""


def named(value: object) -> str | None:
    """A name or path as a file can hold it; None for nothing, and for an object of the caller."""
    return str(value) if isinstance(value, str | Path) else None


def objects(**given: object) -> tuple[str, ...]:
    """Names of the arguments that are neither absent nor a name."""
    return tuple(name for name, value in given.items() if not isinstance(value, str | Path | None))
