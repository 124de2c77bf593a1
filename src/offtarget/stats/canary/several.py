"""Several metrics of one canary under one bound: misaligned, refused, gibberish, a broken tool call, ..."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from offtarget.errors import InputError
from offtarget.records import Role
from offtarget.records.canary import ORGANIC, CanaryAlarm, CanaryReading, CanaryTestSettings, CanaryTogether
from offtarget.stats.canary.evidence import LEAST
from offtarget.stats.canary.online import CanaryTest, log_average
from offtarget.stats.closed import closed_log_e


class CanaryTests:
    """Metrics that share one alarm: the weighted average of their evidence, each with its own test.

    An average of e-values is an e-value whatever the metrics have to do with each other (Vovk and Wang 2021), so the
    rollout goes off with probability <= alpha where tuned is worse in no metric; a metric of weight w pays ln(1/w), as
    if its own threshold were 1/(w alpha). Late changes likewise, counted in blocks of whichever metric has most.
    """

    def __init__(self, metrics: Mapping[str, CanaryTestSettings], weights: Mapping[str, float] | None = None) -> None:
        """`metrics`: name -> settings, with the same alpha and run length; `weights`: name -> positive, summing to 1;
        equal ones by default. Raises InputError for settings that say nothing together.
        """
        chosen = {name: 1 / len(metrics) for name in metrics} if weights is None and metrics else dict(weights or {})
        if not metrics or chosen.keys() != metrics.keys():
            raise InputError("Every metric of the canary needs a weight, and there must be one metric at least.")
        if min(chosen.values()) <= 0 or not math.isclose(sum(chosen.values()), 1.0):
            raise InputError(f"The weights of the metrics must be positive and sum to 1; got {chosen}.")
        if len({(s.alpha, s.run_length) for s in metrics.values()}) > 1:
            raise InputError("All metrics of a canary share one alpha and one run length; give each the same.")
        self.weights = chosen
        self.tests = {name: CanaryTest(settings) for name, settings in metrics.items()}
        first = next(iter(metrics.values()))
        self._alpha, self._run_length = first.alpha, first.run_length
        self._alarm: CanaryAlarm | None = None
        self._named: dict[str, int] = {}

    def add(self, metric: str, role: Role, kind: int, stream: str = ORGANIC) -> bool:
        """One more answer scored by one metric, as `CanaryTest.add`. Whether its evidence changed."""
        if metric not in self.tests:
            raise InputError(f"The canary has no metric {metric!r}; its settings name {', '.join(self.tests)}.")
        changed = self.tests[metric].add(role, kind, stream)
        if changed:
            self._look()
        return changed

    def _look(self) -> None:
        for alarm, log_es, threshold in (
            ("rollout", self._log_es("log_e_rollout"), -math.log(self._alpha)),
            ("late change", self._log_es("log_e_change"), math.log(self._run_length)),
        ):
            if self._alarm in (None, alarm) and self._average(log_es) >= threshold:
                self._alarm = alarm  # type: ignore[assignment]
                self._name(log_es, threshold)

    def _name(self, log_es: dict[str, float], threshold: float) -> None:
        """Metrics that are shown by themselves (closed testing); where none is, the one that holds most of it."""
        told = {name: e for name, e in log_es.items() if not math.isinf(e)}
        adjusted = closed_log_e(list(told.values()), [self.weights[name] for name in told])
        shown = [name for name, e in zip(told, adjusted, strict=True) if e >= threshold]
        if not shown and not self._named:
            shown = [max(told, key=lambda name: math.log(self.weights[name]) + told[name])]
        for name in shown:
            self._named.setdefault(name, self.tests[name].tuned)

    def _log_es(self, of: str) -> dict[str, float]:
        return {name: getattr(test, of) for name, test in self.tests.items()}

    def _average(self, log_es: Mapping[str, float]) -> float:
        return log_average([(self.weights[name], e) for name, e in log_es.items()])

    @property
    def log_e_rollout(self) -> float:
        """Natural log of the weighted average e-value."""
        return self._average(self._log_es("log_e_rollout"))

    @property
    def log_e_change(self) -> float:
        """Natural log of the weighted average statistic for late changes."""
        return self._average(self._log_es("log_e_change"))

    @property
    def named(self) -> tuple[str, ...]:
        """Metrics that the alarm is about; empty without one."""
        return tuple(self._named)

    @property
    def alarm(self) -> CanaryAlarm | None:
        """The first alarm, if there was one."""
        return self._alarm

    def reading(self) -> CanaryTogether:
        """What is known now; a metric's own reading carries an alarm where the alarm of all is about it."""
        readings = {name: self._own(name, test.reading()) for name, test in self.tests.items()}
        promoted = self._alarm is None and all(r.verdict == "not worse" for r in readings.values())
        return CanaryTogether(
            alarm=self._alarm,
            named=tuple(self._named),
            verdict="worse" if self._alarm else ("not worse" if promoted else "no verdict yet"),
            log_e_rollout=self._average(self._log_es("log_e_rollout")),
            rollout_threshold=1 / self._alpha,
            log_e_change=max(self._average(self._log_es("log_e_change")), LEAST),
            change_threshold=self._run_length,
            weights=dict(self.weights),
            metrics=readings,
        )

    def _own(self, name: str, reading: CanaryReading) -> CanaryReading:
        if name in self._named:
            return replace(reading, alarm=self._alarm, alarm_at=self._named[name], verdict="worse")
        unalarmed = self.tests[name].promotion()
        return replace(reading, alarm=None, alarm_at=None, verdict=unalarmed)

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` makes the same, to the last bit."""
        return {
            "weights": dict(self.weights),
            "metrics": {name: test.state() for name, test in self.tests.items()},
            "alarm": self._alarm,
            "named": dict(self._named),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CanaryTests:
        """The tests whose `state` this was. Raises InputError where it cannot be read."""
        try:
            tests = {name: CanaryTest.from_state(each) for name, each in state["metrics"].items()}
            together = cls({name: test.settings for name, test in tests.items()}, state["weights"])
            together.tests = tests
            together._alarm, together._named = state["alarm"], dict(state["named"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The saved state of the canary's tests cannot be read ({error!r}). Rebuild it from the scored answers."
            ) from None
        return together
