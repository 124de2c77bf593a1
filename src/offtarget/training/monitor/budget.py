"""How much of a training's time its monitor may take: measured while it trains, and spread over what is left of it.

When to look may depend on everything seen so far, clocks included: the evidence of `evidence.py` holds for readings
at any such times, so that leaving some out costs power and never validity.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Seconds from some moment on."""


@dataclass
class Budget:
    """Of one process' part of a training; what readings took before a resume is told at `begin`."""

    share: float | None
    """Of the time of all steps; None: readings take what they take."""
    least: float = 0.0
    """Seconds that are free in any case: in a short training nobody waits for them."""
    clock: Clock = time.perf_counter
    spent: float = 0.0
    """Seconds that readings took, what was read off the base before the first step included."""
    _steps: int = 1
    _trained: int = 0
    _training: float = 0.0
    _began: float | None = None
    _last: int = 0
    _plain: list[float] = field(default_factory=list)

    def begin(self, steps: int, spent: float, last: int) -> None:
        """Before the first step of this process: steps of the whole training, seconds spent and the last reading."""
        self._steps, self.spent, self._last = max(1, steps), spent, last

    def step_begins(self) -> None:
        """A step's time runs from here."""
        self._began = self.clock()

    def step_ends(self) -> None:
        """To here, so that readings and checkpoints are no part of it."""
        if self._began is not None:
            self._training += self.clock() - self._began
            self._trained, self._began = self._trained + 1, None

    def read(self, step: int, seconds: float, *, sampled: bool) -> None:
        """A reading was taken; only those without sampled answers tell what the next one will take."""
        self.spent, self._last = self.spent + seconds, step
        if not sampled:
            self._plain = [*self._plain[-1:], seconds]  # two, as every second one reads the projection too

    @property
    def training(self) -> float | None:
        """Seconds that all steps take, readings aside, at the pace so far; None before the first."""
        return self._training / self._trained * self._steps if self._trained else None

    @property
    def allowed(self) -> float:
        """Seconds for all readings together; without bound where nothing is known yet or nothing is bounded."""
        training = self.training
        return math.inf if self.share is None or training is None else max(self.least, self.share * training)

    @property
    def taken(self) -> float | None:
        """Readings' part of the training's time; None before the first step."""
        training = self.training
        return self.spent / training if training else None

    def has_room(self, seconds: float) -> bool:
        """Whether something that takes so long can still be afforded, the last reading kept free."""
        return self.spent + seconds + self._one <= self.allowed

    def allows(self, step: int, reserve: float = 0.0) -> bool:
        """Whether a reading that is due after `step` can be taken: what is left is spread over the steps left.

        The one after the last step always can. `reserve` are seconds to be kept for later, where there are so many.
        """
        left = self.allowed - self.spent - self._one
        if step >= self._steps or left == math.inf or not self._one:
            return True
        if left >= reserve:
            left -= reserve
        more = int(left / self._one)
        return more > 0 and (step - self._last) * (more + 1) >= self._steps - self._last

    @property
    def _one(self) -> float:
        return max(self._plain, default=0.0)
