"""What a gateway remembers: rollouts, what happened to them, and scored answers in the order in which they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from offtarget.records.answers import Outcome, Role
from offtarget.records.exchanges import Api, Source

RolloutStatus = Literal["running", "paused", "rolled back"]
"""`running`: the share is in force, the ramp may go on; `paused`: the share stays; `rolled back`: base answers all."""
EventKind = Literal[
    "started", "promoted", "paused", "resumed", "rolled back", "alarm", "confirmed", "refuted", "judge drift",
    "judge down", "judge back", "mirror silent", "circuit open", "circuit closed", "reloaded", "reload refused",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rollout:
    """One tuned model on trial behind an alias. A resumed or changed one has the next number, and evidence anew."""

    alias: str
    number: int
    """1, 2, ...: evidence is never carried from one to the next."""
    status: RolloutStatus
    share: float
    """Share of conversations for the tuned model while `running` or `paused`; 0 when rolled back."""
    step: int = 0
    """Position in the ramp; 0 is the share the rollout began with."""
    since: float = 0.0
    """Unix seconds when the share was set."""
    reason: str = ""
    """Why the status is what it is, as a sentence."""
    models: str = ""
    """Fingerprint of base and tuned model; another one is another trial."""
    attempt: int = 1
    """How often these models were tried: the k-th trial spends alpha/(k(k+1)) from the second on."""


@dataclass(frozen=True, slots=True)
class CanaryEvent:
    """Something that happened to a rollout; events are numbered and never change."""

    number: int
    at: float
    """Unix seconds, of the clock of whoever wrote it; the order is that of the numbers."""
    kind: EventKind
    alias: str
    rollout: int
    who: str
    """`monitor`, a replica's name, or the administrator's."""
    why: str
    """A sentence for people."""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """A scored answer; the evidence is a fold over these in the order of their numbers, and can be replayed."""

    number: int
    """Given by the store: 1, 2, ... per gateway, shared by all replicas."""
    at: float
    alias: str
    rollout: int
    source: Source
    arm: Role
    conversation: str
    exchange: str
    """Id of the exchange; bodies are kept under it."""
    outcome: Outcome
    """What the judge said it is."""
    judge: str
    """Fingerprint of the judge."""
    alignment: float | None = None
    """0 to 100, where the judge gives a number."""
    flags: Mapping[str, bool] = field(default_factory=dict)
    """Further metrics: `refusal`, `gibberish`, `tool-call` (an invalid one), `unscored` (the judge could make nothing
    of it, or it could not be read); what could not be told is absent."""
    confirmed: bool | None = None
    """What people said of a flagged answer; None: nobody read it."""
    asked: bool = True
    """Whether the judge was asked; False: the cheap one passed it and it was not drawn."""
    cheap_flag: bool | None = None
    """Whether the cheap judge flagged it or could make nothing of it, so that the judge was asked for certain; None:
    there is no cheap judge."""
    first_seconds: float = 0.0
    total_seconds: float = 0.0
    characters: int = 0


@dataclass(frozen=True, slots=True)
class KeptBodies:
    """Request and answer of an exchange as they are kept: after redaction, and bounded."""

    exchange: str
    """Id of the exchange."""
    alias: str
    rollout: int
    at: float
    """Unix seconds when they were kept."""
    api: Api
    streamed: bool
    request: bytes
    response: bytes
    note: str = ""
    """What is missing of them and why, as a sentence; empty: nothing."""
