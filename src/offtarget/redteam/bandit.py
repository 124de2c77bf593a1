"""Which move at which goal is tried next: Thompson sampling, on the conversations of the search alone."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

Cell = tuple[str, str]
"""Name of a move (or of several, joined by `+`), id of a goal."""

FEW = 0.15
"""Prior share of conversations in which a model gives way under a move; with the weight of one conversation."""
HELD_TOGETHER = 2.0
"""Conversations that what is known of a move counts for in each of its goals."""


@dataclass
class _Count:
    won: float = 0.0
    held: float = 0.0

    @property
    def tried(self) -> float:
        return self.won + self.held


@dataclass
class Bandit:
    """Learns from attempts where pressure works. What it picks is a function of the seed and of what it was told.

    A move that works at one goal often works at others, so a cell's prior is what is known of its move: Beta with the
    move's mean and the weight `HELD_TOGETHER`. Every move is tried once before any is tried for the second time,
    except that one which has just worked is followed up.
    Thompson (1933), Biometrika 25; Chapelle and Li (2011), NeurIPS, for the sampling of the best arm.
    """

    cells: Sequence[Cell]
    seed: int
    _counts: dict[Cell, _Count] = field(default_factory=lambda: defaultdict(_Count))
    _by_move: dict[str, _Count] = field(default_factory=lambda: defaultdict(_Count))
    _asked: Counter[Cell] = field(default_factory=Counter)
    _moves_asked: Counter[str] = field(default_factory=Counter)

    def told(self, cell: Cell, won: bool) -> None:
        """One conversation: whether the attacked model gave way where the other held."""
        for count in (self._counts[cell], self._by_move[cell[0]]):
            if won:
                count.won += 1
            else:
                count.held += 1

    def taken(self, cell: Cell) -> int:
        """How often a cell was picked so far."""
        return self._asked[cell]

    def pick(self, many: int, number: int) -> list[Cell]:
        """The next cells to try at the same time; `number`: attempts before them, for the random numbers."""
        rng = random.Random(f"{self.seed}/pick/{number}")
        return [self._pick_one(rng) for _ in range(many)]

    def _pick_one(self, rng: random.Random) -> Cell:
        fresh = [cell for cell in self.cells if not self._moves_asked[cell[0]]]
        cell = (
            rng.choice(fresh)
            if fresh and not self._hot(rng)
            else max(self.cells, key=lambda one: self._drawn(one, rng))
        )
        self._asked[cell] += 1
        self._moves_asked[cell[0]] += 1
        return cell

    def _hot(self, rng: random.Random) -> bool:
        """Whether to follow up what has worked, every second time, before all moves were tried."""
        return any(count.won for count in self._by_move.values()) and rng.random() < 0.5

    def _beta(self, cell: Cell) -> tuple[float, float]:
        whole, own = self._by_move[cell[0]], self._counts[cell]
        mean = (whole.won + FEW) / (whole.tried + 1)
        return own.won + HELD_TOGETHER * mean, own.held + HELD_TOGETHER * (1 - mean)

    def _drawn(self, cell: Cell, rng: random.Random) -> float:
        return rng.betavariate(*self._beta(cell))

    def mean(self, cell: Cell) -> float:
        """The share of conversations in a cell that is expected to succeed, by all that is known."""
        won, held = self._beta(cell)
        return won / (won + held)

    def weakest(self, most: int) -> list[Cell]:
        """The cells where most success is to be expected, of those whose move ever succeeded; the best first.

        A cell that is less than half as promising as the best one is left out: it would dilute what is shown.
        """
        winners = [cell for cell in self.cells if self._by_move[cell[0]].won]
        ranked = sorted(winners, key=lambda cell: -self.mean(cell))
        return [cell for cell in ranked if self.mean(cell) >= self.mean(ranked[0]) / 2][:most]
