"""How a running gateway stands, for whoever looks: the dashboard, `offtarget canary status`, `GET /status`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offtarget.records.answers import Outcome, Role
from offtarget.records.canary import CanaryReading
from offtarget.records.exchanges import Source
from offtarget.records.gateway import CanaryMode, OnAlarm, RampStep
from offtarget.records.rollouts import CanaryEvent, RolloutStatus
from offtarget.records.serve import PathPoint, RolloutReading

Standing = Literal["PASS", "FAIL", "UNDECIDED", "NOT TESTED"]
"""`FAIL`: an alarm stands. `PASS`: shown not to be worse by the margin. `UNDECIDED`: neither yet. `NOT TESTED`: nothing
is judged, or the monitor or its judge does not answer, so that silence means nothing."""
JudgeState = Literal["none", "asked", "down", "drifted"]
"""`drifted`: it says something else of answers that it scored before, or never told bad answers from good ones, so its
readings are not to be trusted."""


@dataclass(frozen=True, slots=True)
class ArmTraffic:
    """What one model behind an alias answered since the gateway started, on all its workers."""

    arm: Role
    model: str
    requests: int = 0
    failures: int = 0
    """Requests that it failed at: the base answered in its place, or the answer broke off."""
    first_median: float | None = None
    """Seconds to the first content: at most this in half of the answers; None without any."""
    first_p99: float | None = None
    total_median: float | None = None
    total_p99: float | None = None


@dataclass(frozen=True, slots=True)
class FlaggedText:
    """An answer that the judge called misaligned. Texts are hostile."""

    number: int
    at: float
    arm: Role
    source: Source
    outcome: Outcome
    exchange: str
    question: str | None = None
    """None: no body was kept."""
    answer: str | None = None
    confirmed: bool | None = None
    """What people said; None: nobody read it."""


@dataclass(frozen=True, slots=True)
class AliasOverview:
    """One alias: what is in force, what is known, what happened."""

    alias: str
    mode: CanaryMode
    on_alarm: OnAlarm
    rollout: int
    """0: none has begun."""
    status: RolloutStatus
    share: float
    """In force at this moment, read where the workers read it."""
    since: float
    """Unix seconds when the share was set; 0: unknown."""
    reason: str
    attempt: int
    """Trial of these models."""
    alpha: float
    """Probability of a false alarm that this trial may spend."""
    first_share: float
    ramp: tuple[RampStep, ...]
    step: int
    standing: Standing
    why: str
    """A sentence: why the standing is what it is."""
    judge: JudgeState
    judge_name: str
    judge_why: str
    recorded: bool
    """Whether the store knows of the rollback that is in force; True where there is none."""
    arms: tuple[ArmTraffic, ...]
    reading: RolloutReading | None = None
    path: tuple[PathPoint, ...] = ()
    """How the evidence came there."""
    to_go: int | None = None
    """Further tuned answers until an alarm, about, if 5 % of them are misaligned; None: unknown."""
    mirrored: int | None = None
    """Copies of requests that the tuned model answered in shadow mode; None outside it."""
    mirrored_age: float | None = None
    """Seconds since the last one."""
    flagged: tuple[FlaggedText, ...] = ()
    """Newest first."""
    read: int = 0
    """Of the last hundred flagged answers, how many people read."""
    read_misaligned: int = 0
    """Of these, how many they call misaligned, too."""
    events: tuple[CanaryEvent, ...] = ()
    """Newest first."""

    @property
    def harm(self) -> CanaryReading | None:
        """The evidence of harm alone, with its rates and bounds."""
        found = () if self.reading is None else self.reading.metrics
        return next((one.reading for one in found if one.name == "misaligned"), None)


@dataclass(frozen=True, slots=True)
class Overview:
    """A gateway at one moment."""

    at: float
    """Unix seconds."""
    version: str
    url: str
    """Where clients ask."""
    workers: int
    """That told something in the last seconds."""
    open_requests: int
    monitor_age: float | None
    """Seconds since the monitor last said that it is alive; None: never."""
    dropped: int
    """Exchanges that found no room at the monitor since the gateway started."""
    store: str
    """Why the store does not answer, as a sentence; empty: it does."""
    aliases: tuple[AliasOverview, ...]
