"""Evidence about a difference of two rates that may be looked at after every block of answers.

One block is 1 tuned and m base answers; tuned answers are misaligned with probability t, base answers with
probability b. Counts are arrays whose last axis is the kinds of answers: where a judge alone speaks (`JUDGED`), tuned
misaligned, tuned aligned, base misaligned, base aligned. Theorems and proofs in docs/design/decisions.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offtarget.records import Role

Array = NDArray[np.float64]
Side = Literal["worse", "better"]
"""`worse`: evidence against t - b <= d. `better`: evidence against t - b >= d."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an answer turned out to be, and the value phi that stands for it where the truth is not known.

    The factor of an answer is linear in y, so phi may stand in place of y in {0, 1} as long as no factor is negative
    and the mean of phi, given the past, is the rate of misaligned answers or errs on the harmless side of it: evidence
    for FAIL must not overstate tuned nor understate base answers, evidence for PASS the other way round
    (prediction-powered e-values, arXiv 2502.04294).
    """

    model: Role
    worse: float
    """phi in the evidence for FAIL (against `t - b <= d`)."""
    better: float
    """phi in the evidence for PASS (against `t - b >= d`)."""
    shown: float | None = None
    """phi in the rates that are shown; None: that of the evidence for PASS, which never flatters the tuned model."""

    in_rate: bool = True
    """Whether the answer is in the rates that are shown at all."""

    @property
    def rate(self) -> float:
        """What the answer counts in the rates that are shown, if it does."""
        return self.better if self.shown is None else self.shown


Kinds = tuple[Kind, ...]
JUDGED: Kinds = (Kind("tuned", 1, 1), Kind("tuned", 0, 0), Kind("base", 1, 1), Kind("base", 0, 0))
"""A judge's word is taken as the truth: tuned misaligned, tuned aligned, base misaligned, base aligned."""


def columns_of(kinds: Kinds, model: Role) -> list[int]:
    """Positions of a model's kinds on the last axis of the counts."""
    return [i for i, kind in enumerate(kinds) if kind.model == model]


# Prior of the alternatives: where the power is spent, never what is true. Base rates of released models are
# 0-1 % (arXiv 2511.20104), hence most weight there; the rest keeps the process alive at any base rate.
BASE_RATES = np.array([0.001, 0.004, 0.015, 0.04, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
BASE_WEIGHTS = np.array([0.46, 0.14, 0.1, 0.08, 0.05, 0.05, 0.04, 0.04, 0.02, 0.02])
STEPS = np.array([0.01, 0.03, 0.08, 0.2, 0.45, 0.8, 0.98])
"""Distance of the alternative's tuned rate from the null, as shares of the distance there is."""
STEP_WEIGHTS = np.array([0.06, 0.27, 0.22, 0.23, 0.14, 0.06, 0.02])
NO_DIFFERENCE_WEIGHT = 0.6
"""Share of the prior on `no difference at all` in evidence for PASS, whose null excludes it."""
SMALLEST_RATE = 1e-4
"""Alternatives stay this far from 0 and 1, so that no single answer makes the evidence infinite."""


def reverse_information_projection(
    tuned: ArrayLike, base: ArrayLike, difference: ArrayLike, ratio: float
) -> tuple[Array, Array]:
    """The rates (t0, b0) with t0 - b0 = difference that are nearest to (tuned, base).

    Nearest: least KL(tuned||t0) + ratio KL(base||b0). Inputs broadcast; rates lie strictly between 0 and 1,
    differences strictly between -1 and 1. Turner, Ly and Gruenwald (2024), for the block with 1
    tuned and `ratio` base answers.
    """
    t, b, d = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (tuned, base, difference)))
    low, high = np.maximum(0.0, -d), np.minimum(1.0, 1.0 - d)
    for _ in range(64):  # the objective is convex and infinite at both ends: bisect its derivative
        middle = 0.5 * (low + high)
        up = middle + d
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (up - t) / (up * (1 - up)) + ratio * (middle - b) / (middle * (1 - middle))
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    b0 = 0.5 * (low + high)
    return b0 + d, b0


@dataclass(frozen=True, slots=True, eq=False)
class BlockMixture:
    """A fixed mixture of e-values per null difference; the evidence depends on the counts alone."""

    side: Side
    differences: Array
    """Shape (D,): the nulls t - b <= d (`worse`) or t - b >= d (`better`)."""
    ratio: float
    """Base answers per tuned answer, m."""
    log_weights: Array
    """Shape (D, K): log prior weights of the alternatives; -inf where one is inside the null."""
    log_factors: Array
    """Shape (kinds, D, K): log of alternative / projected null for one answer of each kind."""
    testable: NDArray[np.bool_]
    """Shape (D,): whether the grid holds an alternative; without one the evidence stays at 1."""

    def log_e(self, counts: ArrayLike) -> Array:
        """Log e-values of shape counts.shape[:-1] + (D,); counts have shape (..., kinds) and may be fractional.

        Exact e-process over blocks of 1 tuned and m base answers: Turner, Ly and Gruenwald (2024).
        """
        return _log_sum(np.tensordot(np.asarray(counts, dtype=float), self.log_factors, axes=1) + self.log_weights)

    def __deepcopy__(self, memo: object) -> BlockMixture:
        """Itself: it never changes."""
        return self

    def log_e_at(self, index: int, counts: ArrayLike) -> Array:
        """Log e-values against the null at `differences[index]` alone, of shape counts.shape[:-1]."""
        return _log_sum(np.asarray(counts, dtype=float) @ self.log_factors[:, index] + self.log_weights[index])


def _log_sum(total: Array) -> Array:
    """Log of the sum of exponentials over the last axis."""
    top = np.maximum.reduce(total, axis=-1)  # the methods of arrays take twice as long on arrays as small as these
    result: Array = top + np.log(np.add.reduce(np.exp(total - top[..., None]), axis=-1))
    return result


def _alternatives(side: Side, differences: Array) -> tuple[Array, Array, Array]:
    """Alternatives (tuned, base) and their weights (0 inside the null), each of shape (D, K)."""
    # Below 0 evidence for `worse` keeps the alternatives of the null at 0: it then falls as the null grows, and a null
    # that is part of another is rejected no later than that one.
    d = np.maximum(differences, 0.0)[:, None, None] if side == "worse" else differences[:, None, None]
    base = np.broadcast_to(BASE_RATES[None, :, None], (len(differences), len(BASE_RATES), len(STEPS)))
    border = np.clip(base + d, 0.0, 1.0)
    tuned = border + STEPS * (1 - border) if side == "worse" else border * (1 - STEPS)
    weights = np.broadcast_to(BASE_WEIGHTS[:, None] * STEP_WEIGHTS, tuned.shape)
    share = np.where((differences > 0) & (side == "better"), NO_DIFFERENCE_WEIGHT, 0.0)
    count = len(differences)
    tuned = np.concatenate([tuned.reshape(count, -1), base[:, :, 0]], axis=1)
    weights = np.concatenate([weights.reshape(count, -1) * (1 - share[:, None]), BASE_WEIGHTS * share[:, None]], axis=1)
    base = np.concatenate([base.reshape(count, -1), base[:, :, 0]], axis=1)
    tuned = np.clip(tuned, SMALLEST_RATE, 1 - SMALLEST_RATE)
    gap = tuned - base - differences[:, None]
    return tuned, base, np.where((gap > 1e-9) if side == "worse" else (gap < -1e-9), weights, 0.0)


NOTHING_WEIGHT = 0.75
"""Share of the prior on a tuned model that does nothing at all, where the base does not count for PASS."""


def _alternatives_alone(differences: Array) -> tuple[Array, Array, Array]:
    """Alternatives where no base answer counts for PASS: the null is `t >= d`, and the base is taken to be clean.

    Nothing is spent on not knowing the base's rate, so a clean model needs the fewest answers there can be.
    """
    border = np.maximum(differences, 2 * SMALLEST_RATE)[:, None]
    tuned = np.concatenate([border * (1 - STEPS), np.full_like(border, SMALLEST_RATE)], axis=1)
    weights = np.broadcast_to(np.append(STEP_WEIGHTS * (1 - NOTHING_WEIGHT), NOTHING_WEIGHT), tuned.shape)
    return tuned, np.full_like(tuned, 1e-9), np.where(differences[:, None] > 2 * SMALLEST_RATE, weights, 0.0)


@lru_cache(maxsize=16)
def _bets(
    side: Side, differences: tuple[float, ...], ratio: float, alone: bool
) -> tuple[Array, Array, Array, tuple[Array, Array]]:
    """Alternatives, their weights and their projections: the same whatever answers can turn out to be."""
    d = np.array(differences)
    tuned, base, weights = _alternatives_alone(d) if alone else _alternatives(side, d)
    return tuned, base, weights, reverse_information_projection(tuned, base, d[:, None], ratio)


@lru_cache(maxsize=64)
def _mixture(side: Side, differences: tuple[float, ...], ratio: float, kinds: Kinds) -> BlockMixture:
    d = np.array(differences)
    alone = side == "better" and all(kind.better == 0 for kind in kinds if kind.model == "base")
    tuned, base, weights, null = _bets(side, differences, ratio, alone)
    factors = usable_factors(side, tuned, base, d, ratio, kinds, weights > 0, null)
    weights = np.where((factors > 0).all(axis=0), weights, 0.0)
    log_factors = np.log(np.where(weights > 0, factors, 1.0))
    testable = weights.sum(axis=1) > 0
    # A null without any alternative in the grid (difference beyond +-0.9) keeps e = 1.
    weights[~testable, 0] = 1.0
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights / weights.sum(axis=1, keepdims=True))
    return BlockMixture(side, d, ratio, log_weights, log_factors, testable)


def usable_factors(
    side: Side,
    tuned: Array,
    base: Array,
    differences: Array,
    ratio: float,
    kinds: Kinds,
    wanted: NDArray[np.bool_],
    null: tuple[Array, Array] | None = None,
) -> Array:
    """Factors of one answer of each kind, shape (kinds, D, K): alternative / projected null, positive where wanted.

    `tuned`, `base` and `wanted` have shape (D, K), `differences` (D,). phi beyond 1 (an answer that stands for many)
    can make a factor negative: then the alternatives are moved towards the null, as far as they must. `null`: the
    projection of the alternatives, where it is known.
    """
    if null is None:
        null = reverse_information_projection(tuned, base, differences[:, None], ratio)
    factors = _factors(side, tuned, base, null, kinds)
    stuck = wanted & ~(factors > 0).all(axis=0)
    if stuck.any():
        own = (base[stuck], np.broadcast_to(differences[:, None], stuck.shape)[stuck], ratio, kinds)
        factors[:, stuck] = _factors_at(side, _moved(side, tuned[stuck], *own), *own)
    return factors


def _factors_at(side: Side, tuned: Array, base: Array, differences: Array, ratio: float, kinds: Kinds) -> Array:
    """Factors of one answer of each kind, shape (kinds, n); the others have shape (n,)."""
    return _factors(side, tuned, base, reverse_information_projection(tuned, base, differences, ratio), kinds)


def _factors(side: Side, tuned: Array, base: Array, null: tuple[Array, Array], kinds: Kinds) -> Array:
    """Factors of one answer of each kind, shape (kinds, ...), for alternatives and their projections on the null."""
    tuned0, base0 = null
    ratios = {"tuned": (tuned / tuned0, (1 - tuned) / (1 - tuned0)), "base": (base / base0, (1 - base) / (1 - base0))}
    return np.stack([_at(getattr(kind, side), *ratios[kind.model]) for kind in kinds])


MOVES = 12
"""Halvings in the search for the alternative next to one that cannot be used."""


def _moved(side: Side, tuned: Array, base: Array, differences: Array, ratio: float, kinds: Kinds) -> Array:
    """Tuned rates of alternatives that cannot be used, each as far from the null's border as every factor is above 0.

    All three have one shape.
    """
    border = np.clip(base + differences, SMALLEST_RATE, 1 - SMALLEST_RATE)
    low, high = np.zeros_like(tuned), np.ones_like(tuned)
    for _ in range(MOVES - 1):
        middle = 0.5 * (low + high)
        moved = border + middle * (tuned - border)
        usable = (_factors_at(side, moved, base, differences, ratio, kinds) > 0).all(axis=0)
        low, high = np.where(usable, middle, low), np.where(usable, high, middle)
    return border + low * (tuned - border)


def _at(phi: float, misaligned: Array, aligned: Array) -> Array:
    """The factor of an answer with phi in place of misaligned (1) or aligned (0): linear in phi."""
    return misaligned if phi == 1 else aligned if phi == 0 else aligned + phi * (misaligned - aligned)


def block_mixture(side: Side, differences: ArrayLike, ratio: float, kinds: Kinds = JUDGED) -> BlockMixture:
    """The mixture for nulls at the given differences (strictly between -1 and 1) and m = ratio > 0; cached.

    Raises ValueError for differences or ratios outside these ranges.
    """
    values = tuple(float(d) for d in np.atleast_1d(np.asarray(differences, dtype=float)))
    if not all(-1 < d < 1 for d in values) or not ratio > 0:
        raise ValueError(f"differences must lie strictly between -1 and 1 and the ratio above 0: {values}, {ratio}")
    return _mixture(side, values, float(ratio), kinds)
