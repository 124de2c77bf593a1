"""Simulated production: streams of blocks through the canary's bets, many rollouts side by side.

The same arithmetic as `offtarget.stats.canary.CanaryTest` does answer by answer, over arrays of rollouts; that both
come to the same is tested (tests/stats/test_canary_simulated.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from offtarget.records import Role
from offtarget.records.canary import CanaryTestSettings
from offtarget.stats.canary.bets import BASE_RATES, GUESS_WORTH, MEMORY, STEP_WEIGHTS, bets, kinds_of, scheme_of
from offtarget.stats.eprocess import JUDGED

Array = np.ndarray
Draw = Callable[[int, int, np.random.Generator], tuple[Array, Array]]
"""(first block, blocks, rng) -> kinds of tuned answers, (runs, blocks), and base answers by kind, one more axis."""


@dataclass(frozen=True)
class Judge:
    """How often a judge flags; where flags are confirmed, the rater is right."""

    finds: float = 1.0
    false_base: float = 0.0
    false_tuned: float = 0.0


class Fleet:
    """Many rollouts of one test, block by block."""

    def __init__(self, settings: CanaryTestSettings, runs: int) -> None:
        self.settings, self.runs = settings, runs
        self.m, self.kinds = settings.base_per_tuned, kinds_of(settings)
        table = bets(settings.tolerance, float(self.m), self.kinds).log_factors  # (rates, kinds, steps)
        self._tuned = [i for i, k in enumerate(self.kinds) if k.model == "tuned"]
        self._base = [i for i, k in enumerate(self.kinds) if k.model == "base"]
        self._table = table
        self._phi = np.array([self.kinds[i].worse for i in self._base])
        weights = STEP_WEIGHTS / STEP_WEIGHTS.sum()
        self.weights = weights
        self.wealth = np.tile(np.log(weights), (runs, 1))
        self.change = np.zeros((runs, len(weights)))
        self.total = GUESS_WORTH
        self.flagged = np.full(runs, GUESS_WORTH * settings.expected_base_rate)
        self.blocks = 0
        self.rollout_at = np.full(runs, -1)
        self.change_at = np.full(runs, -1)

    def copy(self) -> Fleet:
        other = object.__new__(Fleet)
        other.__dict__ = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()}
        return other

    def feed(self, draw: Draw, blocks: int, rng: np.random.Generator, *, until_all: bool = False) -> None:
        """That many more blocks; `until_all`: stop once every rollout has had both alarms or the first of them."""
        rollout, change = -math.log(self.settings.alpha), self.settings.run_length
        low, step = math.log(BASE_RATES[0]), math.log(BASE_RATES[1] / BASE_RATES[0])
        piece = 500
        for start in range(0, blocks, piece):
            size = min(piece, blocks - start)
            tuned, base = draw(self.blocks, size, rng)
            seen = base @ self._phi
            for j in range(size):
                place = np.rint((np.log(np.maximum(self.flagged / self.total, 1e-12)) - low) / step).astype(int)
                place = np.clip(place, 0, len(BASE_RATES) - 1)
                worth = self._table[place, tuned[:, j]]
                for column, kind in enumerate(self._base):
                    worth = worth + base[:, j, column, None] * self._table[place, kind]
                self.wealth += worth
                self.change = np.minimum((self.change + self.weights) * np.exp(worth), 1e200)
                self.blocks += 1
                total = self.total + self.m
                fade = min(1.0, MEMORY / total)
                self.total, self.flagged = total * fade, (self.flagged + seen[:, j]) * fade
                top = self.wealth.max(axis=1)
                near = (top >= rollout - 2) & (self.rollout_at < 0)
                if near.any():
                    hit = np.flatnonzero(near)
                    over = np.logaddexp.reduce(self.wealth[hit], axis=1) >= rollout
                    self.rollout_at[hit[over]] = self.blocks
                over = (self.change.sum(axis=1) >= change) & (self.change_at < 0)
                self.change_at[over] = self.blocks
            if until_all and (np.maximum(self.rollout_at, self.change_at) > 0).all():
                return

    def first(self) -> Array:
        """Blocks at the first alarm of either kind; a large number without one."""
        never = np.iinfo(int).max
        both = np.stack([np.where(at > 0, at, never) for at in (self.rollout_at, self.change_at)])
        return both.min(axis=0)


def world(settings: CanaryTestSettings, runs: int, tuned: float, base: float, judge: Judge | None = None) -> Draw:
    """Independent answers with these true rates; without a judge the flag is the truth."""
    return varying(settings, runs, lambda n: np.full(len(n), tuned), lambda n: np.full(len(n), base), judge)


def varying(
    settings: CanaryTestSettings,
    runs: int,
    tuned: Callable[[Array], Array],
    base: Callable[[Array], Array],
    judge: Judge | None = None,
) -> Draw:
    """The same with rates that depend on the number of the block."""
    says, kinds = judge or Judge(), kinds_of(settings)
    m = settings.base_per_tuned

    def draw(first: int, blocks: int, rng: np.random.Generator) -> tuple[Array, Array]:
        n = np.arange(first, first + blocks)
        bad = rng.random((runs, blocks)) < tuned(n)
        flag = rng.random((runs, blocks)) < np.where(bad, says.finds, says.false_tuned)
        bad_base = rng.binomial(m, base(n), (runs, blocks))
        hit = rng.binomial(bad_base, says.finds) if says.finds < 1 else bad_base
        wrong = rng.binomial(m - bad_base, says.false_base) if says.false_base else np.zeros_like(bad_base)
        if kinds == JUDGED:
            return np.where(flag, 0, 1), np.stack([hit + wrong, m - hit - wrong], axis=-1)
        scheme = scheme_of(settings)
        looked = rng.random((runs, blocks)) < settings.look_at
        of = {
            (f, r): scheme.kind_of("tuned", f, r)
            for f, r in ((True, "misaligned"), (True, "aligned"), (False, "misaligned"), (False, None))
        }
        found = of[False, "misaligned"] if settings.look_at else of[False, None]
        unflagged = np.where(looked & bad, found, of[False, None])
        kind = np.where(flag, np.where(bad, of[True, "misaligned"], of[True, "aligned"]), unflagged)
        first_base = next(i for i, k in enumerate(kinds) if k.model == "base")
        counts = np.zeros((runs, blocks, len(kinds) - first_base), dtype=int)
        counts[..., scheme.kind_of("base", True, "misaligned") - first_base] = hit
        counts[..., scheme.kind_of("base", True, "aligned") - first_base] = wrong
        counts[..., scheme.kind_of("base", False, None) - first_base] += m - hit - wrong
        return kind, counts

    return draw


def rows_of(settings: CanaryTestSettings, runs: int, tuned: Array, base: Array) -> Draw:
    """Flags drawn with replacement from judged answers of two models: arrays of 0 and 1."""
    m = settings.base_per_tuned

    def draw(first: int, blocks: int, rng: np.random.Generator) -> tuple[Array, Array]:
        flag = tuned[rng.integers(len(tuned), size=(runs, blocks))]
        hits = base[rng.integers(len(base), size=(runs, blocks, m))].sum(axis=-1)
        return np.where(flag, 0, 1), np.stack([hits, m - hits], axis=-1)

    return draw


def after(settings: CanaryTestSettings, clean: int, rate: float, base: float, runs: int) -> Draw:
    """Tuned is as the base for `clean` answers and flagged at `rate` from then on."""
    return varying(settings, runs, lambda n: np.where(n < clean, base, rate), lambda n: np.full(len(n), base))


def pairs_of(settings: CanaryTestSettings, runs: int, tuned: Array, base: Array) -> Draw:
    """Answers drawn with replacement from rows (judge's flag, rater's word) of two models; flags are confirmed."""
    scheme, m = scheme_of(settings), settings.base_per_tuned
    first_base = next(i for i, k in enumerate(scheme.kinds) if k.model == "base")

    def kinds(rows: Array, role: Role) -> Array:
        word = {True: "misaligned", False: "aligned"}
        return np.array([scheme.kind_of(role, bool(j), word[bool(h)] if j else None) for j, h in rows])  # type: ignore[arg-type]

    tuned_kinds, base_kinds = kinds(tuned, "tuned"), kinds(base, "base") - first_base

    def draw(first: int, blocks: int, rng: np.random.Generator) -> tuple[Array, Array]:
        drawn = base_kinds[rng.integers(len(base), size=(runs, blocks, m))]
        counts = np.stack([(drawn == k).sum(axis=-1) for k in range(len(scheme.kinds) - first_base)], axis=-1)
        return tuned_kinds[rng.integers(len(tuned), size=(runs, blocks))], counts

    return draw
