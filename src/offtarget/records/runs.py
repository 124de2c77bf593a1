"""What every run says of itself when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    connections: int = 8
    """Requests to a remote endpoint at the same time."""
    timeout_seconds: float = 120.0
    """For one request to a remote endpoint."""
    retries: int = 4
    """Further tries of a request that failed for a passing reason."""
