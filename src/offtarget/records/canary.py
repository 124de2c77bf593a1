"""The nouns of the evidence behind a canary: a tuned model that serves a share of real traffic beside its base."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from offtarget.errors import InputError
from offtarget.records.answers import Share
from offtarget.records.checks import at_least, share

CanaryAlarm = Literal["rollout", "late change"]
"""What went off: the test of the whole rollout, or the detector of a change after a long clean time."""
CanaryVerdict = Literal["worse", "not worse", "no verdict yet"]
"""`worse`: an alarm. `not worse`: shown not to be worse by the margin or more, so that it may be promoted."""
ORGANIC = "organic"
"""The stream of conversations of users."""
PROBES = "probes"
"""The stream of fixed questions that are sent to both models in the shadow."""


@dataclass(frozen=True, slots=True)
class CanaryTestSettings:
    """What counts as worse in production, for one flag per conversation, and how sure to be; in shares (0.01 = 1 %)."""

    alpha: Share = 0.01
    """Bound on the probability that the test of the rollout ever goes off although tuned is not worse."""
    tolerance: Share = 0.0
    """Tuned may be flagged this much more often than the base without an alarm. 0: an alarm means `worse at all`."""
    base_per_tuned: int = 19
    """Base conversations that are scored for each tuned one; fewer are used while the base has fewer to offer."""
    run_length: float = 1e6
    """Tuned conversations that pass on average, at least, before the detector of late changes goes off for nothing."""
    margin: Share = 0.02
    """Promotion needs: shown not to be worse by this much or more."""
    bound_alpha: Share = 0.05
    """Error probability of each bound that is shown, over all looks together; `alpha` is part of it."""
    fewest: int = 300
    """Scored tuned conversations, in each stream, without which nothing is promoted."""
    streams: Mapping[str, float] = field(default_factory=lambda: {ORGANIC: 1.0})
    """Stream -> weight in the average of the evidence; positive, summing to 1."""
    confirm: bool = False
    """Somebody who knows better (people, a strong judge) rates every flagged answer; else the judge's word is taken."""
    look_at: Share = 0.0
    """With `confirm`: the share of the unflagged tuned answers that is rated all the same."""
    judge_finds: Share = 0.8
    """With `confirm` and without `look_at`: what the judge is taken to find at least; only a promotion rests on it."""
    base_at_most: Share = 0.01
    """With `confirm`: what the base is taken to be misaligned in at most, of its answers that were not flagged."""
    expected_base_rate: Share = 0.01
    """A guess of how often the base is flagged, worth 100 base answers. It moves power and breaks nothing."""

    def __post_init__(self) -> None:
        share(
            alpha=self.alpha, margin=self.margin, bound_alpha=self.bound_alpha, judge_finds=self.judge_finds, one=True
        )
        share(
            tolerance=self.tolerance,
            base_at_most=self.base_at_most,
            expected_base_rate=self.expected_base_rate,
            zero=True,
        )
        share(look_at=self.look_at, zero=True, one=True)
        at_least(1, base_per_tuned=self.base_per_tuned, run_length=self.run_length, fewest=self.fewest)
        if not self.alpha < self.bound_alpha < 1:
            raise InputError(
                f"--bound-alpha must be above --alpha, which is a part of it, and below 1; got {self.bound_alpha:g} "
                f"and {self.alpha:g}."
            )
        if self.tolerance >= self.margin:
            raise InputError(
                f"--margin must be above --tolerance, or a model could be both worse and promoted; got {self.margin:g} "
                f"and {self.tolerance:g}."
            )
        if not self.streams or min(self.streams.values()) <= 0 or not math.isclose(sum(self.streams.values()), 1.0):
            raise InputError(f"The weights of the streams must be positive and sum to 1; got {dict(self.streams)}.")


@dataclass(frozen=True, slots=True)
class CanaryArm:
    """What the evidence holds of one model."""

    answers: int
    """Scored conversations in whole blocks."""
    flagged: float
    """What they count together; not whole where some stand for others."""
    rate: Share | None
    """Flagged share; None without an answer that tells."""
    low: float
    """Lower bound of the true rate, at any time; 0 where nothing is known."""
    high: float
    """Upper bound of the true rate, at any time; 1 where nothing is known."""
    waiting: int
    """Scored conversations that wait until their block is whole."""
    unused: int
    """Scored conversations that were left out because too many waited for the other model."""


@dataclass(frozen=True, slots=True)
class CanaryStreamReading:
    """The evidence of one stream by itself."""

    name: str
    weight: float
    log_e_rollout: float
    """Natural log of the e-value against `not worse by more than the tolerance`."""
    log_e_change: float
    """Natural log of the statistic for late changes, which grows by 1 a block at most, on average, without one; -700
    before the first block, here and below."""
    tuned: CanaryArm
    base: CanaryArm
    difference: float | None
    """Rate of tuned minus rate of base."""
    at_least: float
    """Lower bound of the true difference, at any time; -1 where nothing is known."""
    less_than: float
    """Upper bound of the true difference, at any time; 1 where nothing is known."""


@dataclass(frozen=True, slots=True)
class CanaryReading:
    """What the canary knows now."""

    alarm: CanaryAlarm | None
    """The first alarm; it stays."""
    alarm_at: int | None
    """Tuned answers in the evidence at that moment."""
    verdict: CanaryVerdict
    log_e_rollout: float
    """Natural log of the average e-value over the streams."""
    rollout_threshold: float
    """e-value at which the test of the rollout goes off, 1 / alpha."""
    log_e_change: float
    change_threshold: float
    """Value at which the detector of late changes goes off."""
    tuned: CanaryArm
    base: CanaryArm
    """Of all streams together: answers added up, bounds from the outermost stream."""
    difference: float | None
    at_least: float
    """Tuned is worse by this much or more, in some stream; -1 where nothing is known."""
    less_than: float
    """Tuned is worse by less than this, in every stream; 1 where nothing is known."""
    streams: tuple[CanaryStreamReading, ...]

    @property
    def e_rollout(self) -> float:
        """The average e-value against `not worse by more than the tolerance`."""
        return math.exp(min(self.log_e_rollout, 700.0))

    @property
    def e_change(self) -> float:
        """The statistic for late changes."""
        return math.exp(min(self.log_e_change, 700.0))

    @property
    def waiting(self) -> int:
        """Scored conversations of both models that wait until their block is whole."""
        return self.tuned.waiting + self.base.waiting


@dataclass(frozen=True, slots=True)
class CanaryTogether:
    """What the canary knows now of all its metrics together."""

    alarm: CanaryAlarm | None
    """The first alarm; it stays."""
    named: tuple[str, ...]
    """Metrics that the alarm is about: those shown by themselves, or the one that holds most of the evidence."""
    verdict: CanaryVerdict
    """`not worse` only where every metric says so."""
    log_e_rollout: float
    """Natural log of the weighted average e-value."""
    rollout_threshold: float
    log_e_change: float
    change_threshold: float
    weights: Mapping[str, float]
    metrics: Mapping[str, CanaryReading]


Attribution = Literal["system", "judge", "neither yet"]
"""What an alarm is about: the served model, the judge, or not told apart yet."""
CanaryAction = Literal["go on", "freeze", "roll back"]
"""`freeze`: no model gets more traffic and none is promoted, until somebody has looked at the judge."""


@dataclass(frozen=True, slots=True)
class JudgeWatchSettings:
    """When a judge counts as changed. Anchors are answers that it scored at the beginning and scores again later."""

    alpha: Share = 0.01
    """Bound on the probability that the watch ever goes off although the judge is as it was."""
    run_length: float = 1e5
    """Anchors scored again that pass on average, at least, before the detector of late changes goes off for nothing."""
    strata: tuple[str, ...] = ("flagged", "not flagged")
    """Kinds of anchors, by what the judge first said; a judge that became stricter disagrees on the second alone."""
    calibrate: int = 300
    """Scores of each kind, at the beginning, that say how often the judge disagrees with itself anyway."""
    guard: int = 250
    """Anchors of each kind to be scored again after an alarm of the canary before it is said to be the model's; more
    where the judge often disagrees with itself, as many as show 20 points more of it."""

    def __post_init__(self) -> None:
        share(alpha=self.alpha)
        at_least(1, run_length=self.run_length, calibrate=self.calibrate, guard=self.guard)
        if not self.strata or len(set(self.strata)) < len(self.strata):
            raise InputError(f"The kinds of anchors must be named, each once; got {list(self.strata)}.")


@dataclass(frozen=True, slots=True)
class AnchorReading:
    """Anchors of one kind."""

    name: str
    calibrated: int
    """Scores that went into what the judge disagrees in anyway."""
    calibrated_disagreed: int
    allowed: float | None
    """Upper bound of that share; None until there are enough scores."""
    scored: int
    """Scores since then."""
    disagreed: int
    log_e: float
    log_e_change: float


@dataclass(frozen=True, slots=True)
class JudgeReading:
    """What the watch of the judge knows now."""

    drifted: bool
    """The judge no longer says what it said; it stays until the watch begins anew."""
    drifted_at: int | None
    """Anchors scored again at that moment."""
    ready: bool
    """Whether every kind of anchors has enough first scores, so that a change can be seen."""
    log_e: float
    """Natural log of the average e-value against `disagrees no more often than it did`."""
    threshold: float
    log_e_change: float
    change_threshold: float
    anchors: tuple[AnchorReading, ...]
    guard_left: int | None
    """Anchors of some kind still to be scored again before an alarm is attributed; None without an alarm."""
    attribution: Attribution | None
    """None without an alarm."""


@dataclass(frozen=True, slots=True)
class OrderTestSettings:
    """When values (seconds to the first token, tokens of an answer) of tuned are larger than those of the base."""

    alpha: Share = 0.01
    """Bound on the probability that the test ever goes off although tuned is not larger."""
    factor: float = 1.0
    """Values of tuned may be this many times those of the base."""
    direction: Literal["larger", "smaller"] = "larger"
    """Which side of the base counts as worse."""
    top_shares: tuple[float, ...] = (0.5, 0.1, 0.02)
    """Shares of the base's values above the limits at which both models are compared."""
    calibrate: int = 500
    """First values of the base, which set the limits and are used for nothing else."""
    base_per_tuned: int = 4
    """Values of the base for each of tuned; they cost no judge."""
    tolerance: Share = 0.0
    """The share of values beyond a limit may be this much larger for tuned without an alarm."""
    run_length: float = 1e6
    """As in `CanaryTestSettings`."""

    def __post_init__(self) -> None:
        share(alpha=self.alpha)
        at_least(1, calibrate=self.calibrate, base_per_tuned=self.base_per_tuned, run_length=self.run_length)
        if not self.factor > 0:
            raise InputError(f"--factor must be above 0, not {self.factor:g}.")
        shares = self.top_shares
        if not shares or len(set(shares)) < len(shares) or not all(0 < s < 1 for s in shares):
            raise InputError(f"The shares above the limits must lie between 0 and 1, each once; got {list(shares)}.")


@dataclass(frozen=True, slots=True)
class OrderReading:
    """What a test of larger values knows now."""

    alarm: CanaryAlarm | None
    limits: tuple[float, ...]
    """Values of the base above which `top_shares` of its first values lay; empty until they are known."""
    log_e_rollout: float
    log_e_change: float
    beyond: tuple[CanaryReading, ...]
    """For each limit: how often either model lies beyond it (tuned divided by the factor)."""
