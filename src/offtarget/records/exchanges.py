"""What the data path of a gateway tells the monitor: one request and its answer, whole, from one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offtarget.records.answers import Role

Api = Literal["chat", "completions", "responses"]
"""Which endpoint was asked: the ones whose answers are judged."""
Source = Literal["organic", "shadow", "probe"]
"""`organic`: the answer the client got. `shadow`: sampled beside it, no client saw it. `probe`: the gateway asked."""
Reason = Literal["share", "fallback", "rolled-back", "open-circuit", "shadow", "pinned", "no-tuned", "probe"]
"""Why this model answered: the split; the tuned one failed before its first byte; the share is 0; too many failures
in a row; a copy of a request; an earlier response it goes on from; only a base stands behind the alias; a probe."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, of a conversation that was chosen to be scored before the answer was known."""

    id: str
    """The request id that the client got too."""
    alias: str
    rollout: int
    """Number of the rollout (`Rollout.number`) whose share was in force."""
    arm: Role
    """The model that gave the answer."""
    reason: Reason
    source: Source
    conversation: str
    """Hex digest of the key that the split went by; the key itself is not told."""
    api: Api
    started: float
    """Unix seconds."""
    first_seconds: float
    """To the first byte of content, or to the whole answer where nothing was streamed."""
    total_seconds: float
    status: int
    """HTTP status that the upstream gave; 0: none."""
    streamed: bool
    request: bytes
    """Body as the client sent it."""
    response: bytes
    """Body as the upstream sent it (server-sent events where `streamed`); cut at the sink's limit."""
    cut: bool = False
    """Whether `response` was cut; such an answer is counted and never scored."""
    fault: str = ""
    """What went wrong (a name of `docs/faults.md`); empty: nothing. Of a faulty answer what was streamed is scored."""
