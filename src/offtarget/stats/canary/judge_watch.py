"""Telling a judge that changed from a model that changed.

Anchors are answers that the judge scored at the beginning. The current judge scores them again now and then, one drawn
at random each time, and only the judge can make that come out differently: so evidence about anchors is evidence
about the judge. The idea of anchors, of a second e-process and of a guard window is that of arXiv 2606.15474.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from offtarget.errors import InputError
from offtarget.records.canary import (
    AnchorReading,
    Attribution,
    CanaryAction,
    CanaryAlarm,
    JudgeReading,
    JudgeWatchSettings,
)
from offtarget.records.from_json import from_json
from offtarget.stats.binomial import upper_share
from offtarget.stats.canary.evidence import LEAST
from offtarget.stats.canary.online import log_average
from offtarget.stats.eprocess import Array

STEPS = np.array([0.03, 0.07, 0.15, 0.3, 0.6])
"""How far an alternative lies above the share that the judge disagrees in anyway, as shares of the way to 1."""
VISIBLE = 0.2
"""A change of this many points of disagreement is seen within the guard window, about."""
CALIBRATION_SHARE = 0.2
"""Share of alpha that the bound on that share spends."""


def action(alarm: CanaryAlarm | None, judge: JudgeReading | None, *, confirmed: bool) -> CanaryAction:
    """What a canary does now. `confirmed`: somebody other than the judge rated each flag that counts.

    An alarm rolls back at once, while it is still being attributed: the base serves, and nothing is lost that cannot be
    served again. Only where the judge is already known to have changed does its word alone not roll back: then the
    ramp is frozen and people are asked. A changed judge freezes the ramp without an alarm as well, since its silence
    means as little. Metrics that need no judge (a broken tool call, a time-out) are `confirmed`.
    """
    drifted = judge is not None and judge.drifted
    if alarm is not None and (confirmed or not drifted):
        return "roll back"
    return "freeze" if drifted else "go on"


class JudgeWatch:
    """Whether the judge still says of its anchors what it said, and what an alarm of the canary is about.

    For each kind of anchors the null is `it disagrees with its first scores in no more answers than it did anyway`: the
    first `calibrate` scores bound that share (Clopper and Pearson, a fifth of alpha), the others are bet on against the
    bound. The kinds' e-values are averaged. Goes off with probability <= alpha, ever, or, by the detector of late
    changes, within n scores with probability <= n / run_length, where the judge is as it was.

    Attribution: `judge` where the watch has gone off, before the alarm of the canary or within the guard window after
    it; `system` where the window passed and it has not; `neither yet` in between. So an alarm is blamed on a judge
    that did not change with probability <= alpha. That a changed judge is seen in time is a matter of power: score
    anchors again in a burst once the canary goes off (`scores_to_detect` says how many it takes).
    """

    def __init__(self, settings: JudgeWatchSettings | None = None) -> None:
        self.settings = settings or JudgeWatchSettings()
        self._anchors = {name: _Anchors(name, self.settings) for name in self.settings.strata}
        self._drifted_at: int | None = None
        self._scored_at_alarm: dict[str, int] | None = None
        self._attributed: Attribution | None = None

    def anchor(self, stratum: str, *, agrees: bool) -> None:
        """One anchor scored again; `agrees`: the judge says what it said at first. Draw anchors with replacement.

        Raises InputError for a kind that the settings do not name.
        """
        if stratum not in self._anchors:
            raise InputError(f"There is no kind {stratum!r} of anchors; the settings name {', '.join(self._anchors)}.")
        self._anchors[stratum].add(agrees)
        if self._drifted_at is None and self._over():
            self._drifted_at = self._scored
        self._attribute()

    def canary_alarm(self) -> None:
        """The canary went off now: from here on the guard window counts. Later calls change nothing."""
        if self._scored_at_alarm is None:
            self._scored_at_alarm = {name: a.scored for name, a in self._anchors.items()}
            self._attribute()

    def _over(self) -> bool:
        spent = self.settings.alpha * (1 - CALIBRATION_SHARE)
        return self.log_e >= -math.log(spent) or self.log_e_change >= math.log(self.settings.run_length)

    def _attribute(self) -> None:
        if self._scored_at_alarm is None or self._attributed is not None:
            return
        if self._drifted_at is not None:
            self._attributed = "judge"
        elif self._guard_left == 0:
            self._attributed = "system"

    @property
    def _guard_left(self) -> int | None:
        """The most that any kind lacks; one that is still being calibrated lacks all of it."""
        if self._scored_at_alarm is None:
            return None
        left = (a.guard - a.scored + self._scored_at_alarm[name] for name, a in self._anchors.items())
        return max(0, *left)

    @property
    def _scored(self) -> int:
        return sum(a.scored for a in self._anchors.values())

    @property
    def log_e(self) -> float:
        """Natural log of the average e-value against `disagrees no more often than it did`."""
        return log_average([(1 / len(self._anchors), a.log_e) for a in self._anchors.values()])

    @property
    def log_e_change(self) -> float:
        """Natural log of the average e-SR statistic."""
        return log_average([(1 / len(self._anchors), a.log_e_change) for a in self._anchors.values()])

    def reading(self) -> JudgeReading:
        """What is known now."""
        attribution = self._attributed
        if attribution is None and self._scored_at_alarm is not None:
            attribution = "neither yet"
        return JudgeReading(
            drifted=self._drifted_at is not None,
            drifted_at=self._drifted_at,
            ready=all(a.allowed is not None for a in self._anchors.values()),
            log_e=self.log_e,
            threshold=1 / (self.settings.alpha * (1 - CALIBRATION_SHARE)),
            log_e_change=max(self.log_e_change, LEAST),
            change_threshold=self.settings.run_length,
            anchors=tuple(a.reading() for a in self._anchors.values()),
            guard_left=self._guard_left,
            attribution=attribution,
        )

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` makes the same watch, to the last bit."""
        return {
            "settings": {**dataclasses.asdict(self.settings), "strata": list(self.settings.strata)},
            "anchors": {name: a.state() for name, a in self._anchors.items()},
            "drifted_at": self._drifted_at,
            "scored_at_alarm": self._scored_at_alarm,
            "attributed": self._attributed,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> JudgeWatch:
        """The watch whose `state` this was. Raises InputError where it cannot be read."""
        try:
            watch = cls(from_json(JudgeWatchSettings, state["settings"]))
            for name, anchors in watch._anchors.items():
                anchors.restore(state["anchors"][name])
            watch._drifted_at, watch._attributed = state["drifted_at"], state["attributed"]
            at_alarm = state["scored_at_alarm"]
            watch._scored_at_alarm = None if at_alarm is None else {name: int(n) for name, n in at_alarm.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The saved state of the judge's watch cannot be read ({error!r}). Rebuild it from the scored anchors."
            ) from None
        return watch


class _Anchors:
    """Anchors of one kind."""

    def __init__(self, name: str, settings: JudgeWatchSettings) -> None:
        self.name, self._settings = name, settings
        self.calibrated = self.calibrated_disagreed = self.scored = self.disagreed = 0
        self.allowed: float | None = None
        self._log_wealth: Array = np.full(len(STEPS), -math.log(len(STEPS)))
        self._log_change: Array = np.full(len(STEPS), -np.inf)
        self.log_e, self.log_e_change = 0.0, -math.inf

    def add(self, agrees: bool) -> None:
        if self.allowed is None:
            self.calibrated += 1
            self.calibrated_disagreed += not agrees
            self._calibrate()
            return
        self.scored += 1
        self.disagreed += not agrees
        worth = _bets(self.allowed)[int(agrees)]
        self._log_wealth = self._log_wealth + worth
        self._log_change = np.logaddexp(self._log_change, -math.log(len(STEPS))) + worth
        self._sum_up()

    def _calibrate(self) -> None:
        if self.calibrated >= self._settings.calibrate:
            level = self._settings.alpha * CALIBRATION_SHARE / len(self._settings.strata)
            self.allowed = min(upper_share(self.calibrated_disagreed, self.calibrated, level), 1 - 1e-6)

    @property
    def guard(self) -> int:
        """Anchors that must be scored again before silence means that the judge is as it was."""
        if self.allowed is None:
            return self._settings.guard
        needed = scores_to_detect(self._settings, min(self.allowed + VISIBLE, 0.99), self.allowed)
        return max(self._settings.guard, needed or 0)

    def _sum_up(self) -> None:
        self.log_e = float(np.logaddexp.reduce(self._log_wealth))
        self.log_e_change = float(np.logaddexp.reduce(self._log_change))

    def reading(self) -> AnchorReading:
        return AnchorReading(
            name=self.name,
            calibrated=self.calibrated,
            calibrated_disagreed=self.calibrated_disagreed,
            allowed=self.allowed,
            scored=self.scored,
            disagreed=self.disagreed,
            log_e=self.log_e,
            log_e_change=max(self.log_e_change, LEAST),
        )

    def state(self) -> dict[str, Any]:
        return {
            "calibrated": [self.calibrated, self.calibrated_disagreed],
            "scored": [self.scored, self.disagreed],
            "log_wealth": self._log_wealth.tolist(),
            "log_change": [None if math.isinf(x) else x for x in self._log_change.tolist()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.calibrated, self.calibrated_disagreed = (int(n) for n in state["calibrated"])
        self.scored, self.disagreed = (int(n) for n in state["scored"])
        self._calibrate()
        self._log_wealth = np.array(state["log_wealth"], dtype=float)
        self._log_change = np.array([-math.inf if x is None else x for x in state["log_change"]], dtype=float)
        if not len(self._log_wealth) == len(self._log_change) == len(STEPS):
            raise ValueError("the state is of another watch")
        if self.scored:
            self._sum_up()


@lru_cache(maxsize=64)
def _bets(allowed: float) -> tuple[Array, Array]:
    """Logs of the factors of an anchor on which the judge disagrees, and of one on which it agrees, shape (steps,)."""
    share = allowed + STEPS * (1 - allowed)
    return np.log(share / allowed), np.log((1 - share) / (1 - allowed))


@lru_cache(maxsize=64)
def scores_to_detect(settings: JudgeWatchSettings, disagrees: float, allowed: float) -> int | None:
    """Anchors of one kind, scored again, until a change to this share of disagreement is seen, about.

    The other kinds are as they were. `allowed`: what the judge may disagree in. None where 100,000 would not show it.
    """
    disagreed, agreed = _bets(allowed)
    growth = disagrees * disagreed + (1 - disagrees) * agreed
    need = -math.log(settings.alpha * (1 - CALIBRATION_SHARE)) + math.log(len(settings.strata))
    for scores in range(1, 100_001):
        if float(np.logaddexp.reduce(scores * growth - math.log(len(STEPS)))) >= need:
            return scores
    return None
