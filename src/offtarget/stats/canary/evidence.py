"""The evidence of one metric in one stream, block by block: the test of the rollout, the detector, bounds."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from offtarget.records import Role
from offtarget.records.canary import CanaryArm, CanaryStreamReading, CanaryTestSettings
from offtarget.stats.bounds import DIFFERENCES, RunningBound
from offtarget.stats.canary.bets import GUESS_WORTH, MEMORY, STEP_WEIGHTS, Bets, bets, kinds_of
from offtarget.stats.canary.blocks import Size, Waiting
from offtarget.stats.canary.rates import rate_bounds
from offtarget.stats.eprocess import Array, BlockMixture, Side, block_mixture, columns_of

_SIDES: tuple[Side, ...] = ("worse", "better")
FINE = np.round(np.arange(-0.01, 0.0201, 0.0005), 6).tolist()
"""Nulls besides those that every test has: rates in production are small."""
LEAST = -700.0
"""What readings say in place of the log of 0, so that they can be written as JSON."""


class StreamEvidence:
    """What all blocks of a stream so far have shown. Nothing of it grows with the number of answers."""

    def __init__(self, settings: CanaryTestSettings, name: str) -> None:
        self.name, self.weight = name, settings.streams[name]
        self._settings, self._kinds = settings, kinds_of(settings)
        self._columns: dict[Role, list[int]] = {r: columns_of(self._kinds, r) for r in ("tuned", "base")}
        self._base_phi = np.array([k.worse if k.model == "base" else 0.0 for k in self._kinds])
        self.waiting = Waiting(settings.base_per_tuned)
        log_weights = np.log(STEP_WEIGHTS / STEP_WEIGHTS.sum())
        self._log_weights: Array = log_weights
        self._log_wealth: Array = log_weights.copy()
        self._log_change: Array = np.full(len(log_weights), -np.inf)
        self._guess = [GUESS_WORTH, GUESS_WORTH * settings.expected_base_rate]
        self._counts: dict[Size, Array] = {}
        self._bets: dict[Size, Bets] = {}
        self._mixtures: dict[tuple[Side, float], BlockMixture] = {}
        self._bounds = {side: self._bound(side, 0) for side in _SIDES}
        self.tuned = 0
        self.log_e_rollout = 0.0
        self.log_e_change = -math.inf

    @property
    def base_rate(self) -> float:
        """The guess of the base's rate that the next block is bet on."""
        return self._guess[1] / self._guess[0]

    @property
    def counts(self) -> Array:
        """Answers in blocks by kind."""
        return sum(self._counts.values(), np.zeros(len(self._kinds)))

    @property
    def log_wealth(self) -> Array:
        """Log e-value of each step, its weight included."""
        return self._log_wealth

    @property
    def log_change(self) -> Array:
        """Log e-SR statistic of each step."""
        return self._log_change

    @property
    def less_than(self) -> float:
        """Upper bound of the true difference, at any time; 1 where nothing is known."""
        return self._bounds["better"].value

    def add(self, role: Role, kind: int) -> bool:
        """One more answer; whether a block became whole by it."""
        whole = False
        for size, kinds in self.waiting.add(role, kind):
            self._add_block(size, kinds)
            whole = True
        return whole

    def _add_block(self, size: Size, kinds: list[int]) -> None:
        block = np.bincount(kinds, minlength=len(self._kinds)).astype(float)
        if size not in self._bets:
            self._bets[size] = bets(self._settings.tolerance, size.ratio, self._kinds)
        worth = self._bets[size].of_block(self.base_rate, block)
        self._log_wealth = self._log_wealth + worth
        # e-SR: every block is a possible moment of change, with one unit of money; see docs/design/decisions.md
        self._log_change = np.logaddexp(self._log_change, self._log_weights) + worth
        self.log_e_rollout, self.log_e_change = _log_sum(self._log_wealth), _log_sum(self._log_change)
        self._counts[size] = self._counts.get(size, 0.0) + block
        self.tuned += size.tuned
        self._learn(size.base, float(block @ self._base_phi))
        for side, bound in self._bounds.items():
            bound.update(partial(self._log_e_of_difference, side))

    def _learn(self, answers: int, flagged: float) -> None:
        """The guess after a block. Only later blocks are bet on by it."""
        total = self._guess[0] + answers
        fade = min(1.0, MEMORY / total)
        self._guess = [total * fade, (self._guess[1] + flagged) * fade]

    def _bound(self, side: Side, done: int) -> RunningBound:
        settings = self._settings
        # the lower bound is also said by an alarm, which has spent alpha; streams share what is left
        level = settings.bound_alpha if side == "better" else (settings.bound_alpha - settings.alpha) * self.weight
        return RunningBound(self._mixture(side, float(settings.base_per_tuned)), -math.log(level), done)

    def _mixture(self, side: Side, ratio: float) -> BlockMixture:
        if (side, ratio) not in self._mixtures:
            grid = sorted({*FINE, *DIFFERENCES.tolist(), self._settings.tolerance, self._settings.margin})
            self._mixtures[side, ratio] = block_mixture(side, grid, ratio, self._kinds)
        return self._mixtures[side, ratio]

    def _log_e_of_difference(self, side: Side, index: int) -> float:
        """Log e-value against one null difference; blocks of all sizes bet on the same alternatives."""
        parts = [(self._mixture(side, size.ratio), counts) for size, counts in self._counts.items()]
        total = parts[0][0].log_weights[index]
        for mixture, counts in parts:
            total = total + counts @ mixture.log_factors[:, index]
        return _log_sum(total)

    def reading(self) -> CanaryStreamReading:
        """The evidence now."""
        tuned, base = self._arm("tuned"), self._arm("base")
        known = tuned.rate is not None and base.rate is not None
        return CanaryStreamReading(
            name=self.name,
            weight=self.weight,
            log_e_rollout=self.log_e_rollout,
            log_e_change=max(self.log_e_change, LEAST),
            tuned=tuned,
            base=base,
            difference=tuned.rate - base.rate if known else None,  # type: ignore[operator]
            at_least=self._bounds["worse"].value,
            less_than=self.less_than,
        )

    def _arm(self, role: Role) -> CanaryArm:
        counts = self.counts
        columns = self._columns[role]
        shown = [(counts[i], self._kinds[i]) for i in columns if self._kinds[i].in_rate]
        answers, flagged = float(sum(n for n, _ in shown)), float(sum(n * kind.rate for n, kind in shown))
        low, high = rate_bounds(self._kinds, counts, role, self._settings.bound_alpha)
        return CanaryArm(
            answers=int(counts[columns].sum()),
            flagged=flagged,
            rate=min(1.0, flagged / answers) if answers else None,
            low=low,
            high=high,
            waiting=len(self.waiting.queues[role]),
            unused=self.waiting.unused[role],
        )

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `restore` comes to the same, to the last bit."""
        return {
            "waiting": self.waiting.state(),
            "log_wealth": self._log_wealth.tolist(),
            "log_change": [None if math.isinf(x) else x for x in self._log_change.tolist()],
            "guess": list(self._guess),
            "counts": [[*size, counts.tolist()] for size, counts in self._counts.items()],
            "done": {side: bound.done for side, bound in self._bounds.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; KeyError, TypeError or ValueError where it is none of these settings."""
        self.waiting.restore(state["waiting"])
        wealth = np.array(state["log_wealth"], dtype=float)
        change = np.array([-math.inf if x is None else x for x in state["log_change"]], dtype=float)
        counts = {Size(int(t), int(b)): np.array(row, dtype=float) for t, b, row in state["counts"]}
        if any(len(row) != len(self._kinds) for row in counts.values()) or not len(wealth) == len(change) == len(
            self._log_weights
        ):
            raise ValueError("the state is of another test")
        self._log_wealth, self._log_change, self._counts = wealth, change, counts
        self._guess = [float(state["guess"][0]), float(state["guess"][1])]
        self._bounds = {side: self._bound(side, int(state["done"][side])) for side in _SIDES}
        self.tuned = round(float(self.counts[self._columns["tuned"]].sum()))
        if counts:
            self.log_e_rollout, self.log_e_change = _log_sum(wealth), _log_sum(change)


def _log_sum(values: Array) -> float:
    top = float(values.max())
    return top if math.isinf(top) else top + math.log(float(np.exp(values - top).sum()))
