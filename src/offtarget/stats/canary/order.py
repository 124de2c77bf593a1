"""Whether values of the tuned model (seconds, tokens) are larger than the base's, looked at after every one.

The null is stochastic order: for every limit, tuned lies beyond it no more often than the base. It is tested at a few
limits, read off the base's first values: at each, `beyond` is a flag like any other, and the evidence is averaged. A
sequential test of the whole distribution is that of Lindon, Sanden and Shirikian (KDD 2022, arXiv 2205.14762); a few
limits say less about where the difference lies and need nothing but the test of a flag.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from offtarget.errors import InputError
from offtarget.records import Role
from offtarget.records.canary import CanaryAlarm, CanaryTestSettings, OrderReading, OrderTestSettings
from offtarget.records.from_json import from_json
from offtarget.stats.canary.online import JUDGED_KIND
from offtarget.stats.canary.several import CanaryTests


class OrderTest:
    """Goes off with probability <= alpha, ever, where values of tuned, divided by the factor, are not larger than those
    of the base; late changes as in `CanaryTest`. What the caller owes is the same as there.

    Limits stay as they are read off the first values. Where the base itself moves far from them (its shares beyond them
    are in the reading), begin anew.
    """

    def __init__(self, settings: OrderTestSettings | None = None) -> None:
        self.settings = settings or OrderTestSettings()
        self._first: list[float] = []
        self._limits: tuple[float, ...] = ()
        self._tests = CanaryTests({f"beyond {share:g}": self._flag(share) for share in self.settings.top_shares})

    def _flag(self, share: float) -> CanaryTestSettings:
        return CanaryTestSettings(
            alpha=self.settings.alpha,
            bound_alpha=max(0.05, min(5 * self.settings.alpha, 0.5 + self.settings.alpha / 2)),
            tolerance=self.settings.tolerance,
            margin=min(max(0.02, 2 * self.settings.tolerance), 0.999),
            base_per_tuned=self.settings.base_per_tuned,
            run_length=self.settings.run_length,
            expected_base_rate=share,
        )

    def add(self, role: Role, value: float) -> bool:
        """One more value, of one conversation. Whether the evidence changed.

        Raises InputError for a value that is no number. Values of tuned before the limits are known are not used.
        """
        if not np.isfinite(value):
            raise InputError(
                f"{value} is no value that can be compared; leave such an answer out and count it elsewhere."
            )
        sign = 1.0 if self.settings.direction == "larger" else -1.0
        if not self._limits:
            if role == "base":
                self._first.append(sign * float(value))
                self._set_limits()
            return False
        compared = sign * float(value) / (self.settings.factor if role == "tuned" else 1.0)
        changed = False
        for name, limit in zip(self._tests.tests, self._limits, strict=True):
            changed |= self._tests.add(name, role, JUDGED_KIND[role][compared > limit])
        return changed

    def _set_limits(self) -> None:
        if len(self._first) < self.settings.calibrate:
            return
        ends = np.quantile(self._first, [1 - share for share in self.settings.top_shares], method="higher")
        self._limits, self._first = tuple(float(x) for x in ends), []

    @property
    def alarm(self) -> CanaryAlarm | None:
        """The first alarm, if there was one."""
        return self._tests.alarm

    def reading(self) -> OrderReading:
        """What is known now."""
        sign = 1.0 if self.settings.direction == "larger" else -1.0
        together = self._tests.reading()
        return OrderReading(
            alarm=together.alarm,
            limits=tuple(sign * limit for limit in self._limits),
            log_e_rollout=together.log_e_rollout,
            log_e_change=together.log_e_change,
            beyond=tuple(together.metrics.values()),
        )

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` makes the same test, to the last bit."""
        return {
            "settings": {**dataclasses.asdict(self.settings), "top_shares": list(self.settings.top_shares)},
            "first": list(self._first),
            "limits": list(self._limits),
            "tests": self._tests.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> OrderTest:
        """The test whose `state` this was. Raises InputError where it cannot be read."""
        try:
            test = cls(from_json(OrderTestSettings, state["settings"]))
            test._first = [float(x) for x in state["first"]]
            test._limits = tuple(float(x) for x in state["limits"])
            test._tests = CanaryTests.from_state(state["tests"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The saved state of a test of values cannot be read ({error!r}). Rebuild it from the values."
            ) from None
        return test
