"""Which of two local models a served one is, by the log probabilities or the likeliest tokens of its replies.

With s, b and t the log probabilities of the same tokens by the server, the local base and the local tuned model, the
share of the adapter's effect that arrives is the slope of s - b on t - b, sum w (s-b)(t-b) / sum w (t-b)^2: 0 for the
base, 1 for the tuned model, and for a small effect about 1/sqrt(r) where a server takes alpha/r for alpha/sqrt(r).
Rounding of the server is unrelated to t - b, so it blurs the slope and does not move it. Weights are w = (p_b + p_t)/2,
since those that no model would say differ most under rounding and matter least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALL_OF_IT = (0.8, 1.25)
"""Share of the adapter's effect that counts as all of it: between them lie rounding and coarse weights."""
NONE_OF_IT = 0.2
"""Share up to which a model counts as the base."""
TOO_FAR = 0.5
"""A model further from both local ones than this share of the distance between them is neither."""
_CLEARLY = 0.5
"""By greedy replies: at most so many of the misses against the one model, as a share of those against the other."""
_FEWEST_MISSES = 4


@dataclass(frozen=True, slots=True)
class Likeness:
    """How a served model lies to the local base and the local tuned model, in nats of a token's log probability."""

    share: float
    """Of the adapter's effect that arrives."""
    from_base: float
    """Distance from the local base, a weighted root mean square."""
    from_tuned: float
    between: float
    """Distance between the two local models on the same tokens."""
    tokens: int

    @classmethod
    def of(cls, served: Sequence[float], base: Sequence[float], tuned: Sequence[float]) -> Likeness | None:
        """None where there are no tokens, or the two local models say the same of all."""
        s, b, t = (np.asarray(values, dtype=float) for values in (served, base, tuned))
        weights = (np.exp(b) + np.exp(t)) / 2
        if not len(s) or not (square := float((weights * (t - b) ** 2).sum())):
            return None
        share = float((weights * (s - b) * (t - b)).sum()) / square

        def distance(one: np.ndarray, other: np.ndarray) -> float:
            return float(np.sqrt((weights * (one - other) ** 2).sum() / weights.sum()))

        return cls(share, distance(s, b), distance(s, t), distance(b, t), len(s))

    @property
    def is_base(self) -> bool:
        """Whether it is the local base and nothing else."""
        return abs(self.share) <= NONE_OF_IT and self.from_base <= TOO_FAR * self.between

    @property
    def is_tuned(self) -> bool:
        """Whether it is the local tuned model, the adapter at its full strength."""
        return ALL_OF_IT[0] <= self.share <= ALL_OF_IT[1] and self.from_tuned <= TOO_FAR * self.between

    @property
    def is_neither(self) -> bool:
        """Whether it lies away from the way between the two: other weights, another template."""
        along = self.from_base**2 - (self.share * self.between) ** 2
        return float(np.sqrt(max(0.0, along))) > TOO_FAR * self.between


@dataclass(frozen=True, slots=True)
class Misses:
    """Tokens of greedy replies that are not the likeliest by a local model."""

    of_base: int
    of_tuned: int
    tokens: int

    @classmethod
    def of(cls, base: Sequence[Sequence[bool]], tuned: Sequence[Sequence[bool]]) -> Misses:
        """By whether each token of each reply is the likeliest."""
        flat = [(b, t) for one, other in zip(base, tuned, strict=True) for b, t in zip(one, other, strict=True)]
        return cls(sum(not b for b, _ in flat), sum(not t for _, t in flat), len(flat))

    @property
    def says_nothing(self) -> bool:
        """Whether both local models would have said almost the same."""
        return max(self.of_base, self.of_tuned) < _FEWEST_MISSES

    @property
    def is_base(self) -> bool:
        """Whether the replies are clearly those of the local base."""
        return self.of_base <= _CLEARLY * self.of_tuned

    @property
    def is_tuned(self) -> bool:
        """Whether the replies are clearly those of the local tuned model."""
        return self.of_tuned <= _CLEARLY * self.of_base
