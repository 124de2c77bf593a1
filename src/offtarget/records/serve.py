"""The nouns of a monitored gateway: what its monitor knows of a rollout now, and what a bundle of evidence holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from offtarget.numbers import e_value, many, needed_e_value, percent
from offtarget.records.answers import Outcome, Role
from offtarget.records.canary import CanaryAlarm, CanaryReading, CanaryVerdict
from offtarget.records.exchanges import Source
from offtarget.records.gateway import CanarySettings
from offtarget.records.rollouts import CanaryEvent, Rollout
from offtarget.records.runs import Manifest

Metric = Literal["misaligned", "refusal", "gibberish", "tool-call", "unscored"]
"""What an answer is flagged for: harm, a refusal, nothing that makes sense, an invalid call of a tool, or that the
judge could make nothing of it."""

METRICS: dict[Metric, str] = {
    "misaligned": "misaligned answers",
    "refusal": "refusals",
    "gibberish": "answers without sense",
    "tool-call": "invalid calls of tools",
    "unscored": "answers that the judge can make nothing of",
}
"""The metrics in words."""


@dataclass(frozen=True, slots=True)
class MetricReading:
    """The evidence of one metric by itself."""

    name: Metric
    weight: float
    """In the average of the e-values; the weights of all metrics sum to 1."""
    tolerance: float
    reading: CanaryReading


@dataclass(frozen=True, slots=True)
class RolloutAlarm:
    """The first alarm of a rollout; it stays."""

    kind: CanaryAlarm
    metric: Metric
    """The one that carries most of the evidence."""
    number: int
    """Of the scored answer at which it went off."""
    at: float
    """Unix seconds, of that answer."""
    tuned: int
    """Tuned answers in the evidence at that moment."""
    log_e: float
    """Natural log of the average e-value (`rollout`) or of the statistic (`late change`)."""
    threshold: float
    """That it had to come to (not its log)."""


@dataclass(frozen=True, slots=True)
class PathPoint:
    """Where the evidence stood after a tuned answer."""

    number: int
    """Of the last scored answer in it."""
    at: float
    """Unix seconds, of that answer."""
    tuned: int
    log_e: float
    log_change: float


@dataclass(frozen=True, slots=True)
class RolloutReading:
    """What the monitor knows of the rollout of one alias now; published in the store as JSON for every admin plane."""

    alias: str
    rollout: int
    at: float
    """Unix seconds."""
    folded: int
    """Number of the last scored answer in the evidence; 0: none."""
    alpha: float
    """Probability of any false alarm of this rollout."""
    log_e: float
    """Natural log of the average e-value over metrics and streams."""
    threshold: float
    """e-value at which the alarm goes off, 1 / alpha."""
    log_change: float
    change_threshold: float
    verdict: CanaryVerdict
    alarm: RolloutAlarm | None = None
    confirmed: str = ""
    """Where people read flagged answers: what their word comes to, as a sentence."""
    metrics: tuple[MetricReading, ...] = ()
    larger: tuple[str, ...] = ()
    """That the tuned model is slower or answers at greater length, as sentences; each is wrong at most `alpha` of the
    time. They hold the ramp and roll nothing back."""
    judged: bool = False
    """Whether there is a judge; without one harm is not tested."""
    judge_down: str = ""
    """Why no verdicts come; empty: they do, or there is no judge."""
    judge_drift: str = ""
    """What changed in the judge's verdicts on known answers, or that it never told bad from good, as a sentence; empty:
    nothing that is sure."""
    mirror_silent: str = ""
    """That answers of the tuned model are missing, as a sentence; empty: they arrive."""
    ramp_held: str = ""
    """Why the share is not raised now, as a sentence; empty: it may be, or there is no ramp."""
    waiting: int = 0
    """Exchanges that wait for a verdict."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """`arrived`, `repeated`, `dropped`, `malformed`, `failed` (no verdict could be had), ..."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Exchanges that could not be scored, by why."""

    @property
    def why(self) -> str:
        """Why the alarm went off, as a sentence; empty without one."""
        alarm = self.alarm
        if alarm is None:
            return ""
        what, rates = METRICS[alarm.metric], ""
        found = next((one.reading for one in self.metrics if one.name == alarm.metric), None)
        if found is not None and found.tuned.rate is not None and found.base.rate is not None:
            rates = f": {percent(found.tuned.rate)} against {percent(found.base.rate)} of the base"
        after = many(alarm.tuned, "tuned answer")
        strength = f"evidence {e_value(alarm.log_e)}, needed {needed_e_value(1 / alarm.threshold)}"
        if alarm.kind == "late change":
            return f"After {after} the tuned model changed and gives more {what} than before{rates} ({strength})."
        return f"The tuned model gives more {what} than its base{rates}, after {after} ({strength})."


@dataclass(frozen=True, slots=True)
class FlaggedAnswer:
    """A scored answer in a bundle that was flagged, or one of the base beside it, with what was said."""

    number: int
    arm: Role
    source: Source
    outcome: Outcome
    flags: tuple[str, ...]
    """Metrics that it is flagged for."""
    question: str
    answer: str
    """Empty where nothing of it was kept."""
    alignment: float | None = None
    confirmed: bool | None = None
    system: str = ""
    beside: int = 0
    """Of a base answer: number of the flagged one whose question is like its own; 0: it is flagged itself."""
    note: str = ""
    """What is missing, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeManifest(Manifest):
    """The evidence on one rollout of a gateway, as it stood when it was written down."""

    verb: str = "serve"
    alias: str
    rollout: int
    base: str
    """Name of the base model behind the alias, as its server knows it."""
    tuned: str
    canary: CanarySettings
    probed: bool
    """Whether probes are a stream of the evidence."""
    alpha: float
    judge: str
    """Fingerprint of the judge; empty: there was none."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the gateway, without keys."""

    @property
    def base_name(self) -> str | None:
        """The base model."""
        return self.base

    @property
    def tuned_name(self) -> str | None:
        """The tuned model."""
        return self.tuned


@dataclass(frozen=True, slots=True)
class ServeEvidence:
    """What a bundle comes to; its rows lead to the same, whoever folds them."""

    reading: RolloutReading
    rollout: Rollout
    """As it stood when the bundle was written."""
    events: tuple[CanaryEvent, ...]
    rows: int
    """Scored answers in `rows.jsonl`."""
    flagged: int
    bodies_missing: int
    """Flagged answers of which nothing was kept."""
