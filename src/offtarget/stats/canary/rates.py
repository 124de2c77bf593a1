"""Bounds of one model's rate that hold at any time."""

from __future__ import annotations

import math

from offtarget.records import Role
from offtarget.stats.eprocess import Array, Kinds
from offtarget.stats.finite import Prior

PRIOR = Prior(shares=(), betas=(((0.5, 20.0), 0.7), ((0.5, 0.5), 0.3)))
"""Rates are small, mostly; where they are not, nothing breaks."""


def rate_bounds(kinds: Kinds, counts: Array, role: Role, alpha: float) -> tuple[float, float]:
    """Lower and upper bound of the true rate of one model, each wrong at any time with probability <= alpha.

    Inverts prior / likelihood, a martingale at the true rate (the theorem that `stats/finite.py` names, for
    independent draws). An answer that counts phi in [0, 1] multiplies q^phi (1-q)^(1-phi) in place of phi q +
    (1-phi)(1-q), each over the same at the rate, which is no larger (arithmetic and geometric mean). phi up to 1/pi is
    scaled to [0, 1] and the bound scaled back. What errs downwards leads to the lower, what errs upwards to the upper
    bound.
    """
    own = [(float(n), kind) for n, kind in zip(counts, kinds, strict=True) if kind.model == role]
    answers = sum(n for n, _ in own)
    if not answers:
        return 0.0, 1.0
    sides = ("worse", "better") if role == "tuned" else ("better", "worse")
    low, high = ([(n, getattr(kind, side)) for n, kind in own] for side in sides)
    return _edge(low, answers, alpha, up=False), _edge(high, answers, alpha, up=True)


def _edge(values: list[tuple[float, float]], answers: float, alpha: float, *, up: bool) -> float:
    largest = max(1.0, *(phi for _, phi in values))
    flagged = sum(n * phi for n, phi in values) / largest
    need = PRIOR.log_marginal(answers, flagged) + math.log(alpha)
    inside, outside = min(1.0, flagged / answers), 1.0 if up else 0.0
    if _log_likelihood(outside, answers, flagged) > need:
        return outside
    for _ in range(50):
        middle = (inside + outside) / 2
        if _log_likelihood(middle, answers, flagged) > need:
            inside = middle
        else:
            outside = middle
    return min(1.0, outside * largest)


def _log_likelihood(rate: float, answers: float, flagged: float) -> float:
    """Log probability of one sequence; -inf where the rate makes it impossible."""
    good = answers - flagged
    if (rate <= 0 and flagged > 0) or (rate >= 1 and good > 0):
        return -math.inf
    return (flagged * math.log(rate) if flagged > 0 else 0.0) + (good * math.log1p(-rate) if good > 0 else 0.0)
