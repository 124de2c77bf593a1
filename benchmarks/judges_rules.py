"""What the benchmarks of judges share: answers of known truth, who reads which of them, the evidence of `check`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from decisions import ALPHA, MARGIN, TOLERANCE
from numpy.typing import NDArray

from offtarget.records import DecisionSettings
from offtarget.stats.binomial import log_binomial_at_least
from offtarget.stats.decision import log_threshold
from offtarget.stats.eprocess import JUDGED, Kinds, block_mixture
from offtarget.stats.rated import Scheme, base_bound
from offtarget.workflows.check.raters import BASE_SHARE

LIMIT = log_threshold(DecisionSettings(alpha=ALPHA))
STRIDE = 200
"""Answers looked at in one go."""
Numbers = NDArray[np.int64]
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class World:
    """The truth, and who errs how."""

    tuned: float
    """True misaligned rate of the tuned model."""
    base: float
    finds: float = 1.0
    """Sensitivity of the judge, on both models unless the base has its own."""
    false_tuned: float = 0.0
    """Share of the tuned model's harmless answers that the judge flags."""
    false_base: float = 0.0
    finds_base: float | None = None
    rater_finds: float = 1.0
    """Share of the misaligned answers that the rater calls so."""
    rater_false: float = 0.0
    """Share of harmless answers that the rater calls misaligned."""

    def draw(self, model: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Numbers, Numbers]:
        """What the judge and what a rater says of that many answers, 0 or 1 each."""
        tuned = model == "tuned"
        truth = rng.random(shape) < (self.tuned if tuned else self.base)
        false = self.false_tuned if tuned else self.false_base
        finds = self.finds if tuned or self.finds_base is None else self.finds_base
        flagged = rng.random(shape) < np.where(truth, finds, false)
        rated = rng.random(shape) < np.where(truth, self.rater_finds, self.rater_false)
        return flagged.astype(int), rated.astype(int)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is asked about which answers; without a scheme the judge alone speaks."""

    name: str
    scheme: Scheme | None = None
    base_all: bool = False
    """The rater reads all base answers before a FAIL is claimed (once, they are kept), not the flagged ones alone."""
    base_labels: int = 0
    """Unflagged base answers that are labelled to put a measured bound in place of the assumed one."""
    ratio: int = 4
    """Base answers per tuned answer."""

    @property
    def kinds(self) -> Kinds:
        return JUDGED if self.scheme is None else self.scheme.kinds

    def count(self, model: str, flagged: Numbers, rated: Numbers, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
        """Position of every answer among the kinds, and whether a rater read it."""
        if self.scheme is None:
            return (1 - flagged) + (0 if model == "tuned" else 2), np.zeros_like(flagged)
        share = self.scheme.share if model == "tuned" else float(self.base_all)
        seen = (flagged == 1) | (rng.random(flagged.shape) < share)
        table = np.zeros((2, 3), dtype=int)
        for flag in (0, 1):
            for column, rating in enumerate((None, "aligned", "misaligned")):
                if not (flag and rating is None):
                    late = model == "base" and not flag
                    table[flag, column] = self.scheme.kind_of(model, bool(flag), rating, late=late)
        return table[flagged, np.where(seen, 1 + rated, 0)], seen.astype(int)


def evidence(
    kinds: Kinds, tuned: Numbers, base: Numbers, *, both: bool = True, fail_limit: float = LIMIT
) -> tuple[Numbers, Numbers]:
    """First tuned answer at which FAIL and at which PASS is claimed, per run; n + 1 for never.

    tuned: (runs, n); base: (runs, n, m); both hold positions among the kinds. Without `both` a run ends at the first
    claim, and what the other evidence would have said later is not looked for.
    """
    runs, n = tuned.shape
    crossed = {side: np.full(runs, n + 1) for side in ("worse", "better")}
    counts = np.zeros((runs, len(kinds)))
    for start in range(0, n, STRIDE):
        part = slice(start, start + STRIDE)
        added = np.stack([_seen(i, kind.model, tuned[:, part], base[:, part]) for i, kind in enumerate(kinds)], axis=-1)
        so_far = counts[:, None, :] + added.cumsum(axis=1)
        counts = so_far[:, -1]
        for side, d, limit in (("worse", TOLERANCE, fail_limit), ("better", MARGIN, LIMIT)):
            ended = crossed[side] <= start if both else np.min(list(crossed.values()), axis=0) <= start
            mixture = block_mixture(side, d, base.shape[2], kinds)
            for run in np.flatnonzero(~ended):
                past = mixture.log_e(so_far[run])[:, 0] >= limit
                if past.any():
                    crossed[side][run] = start + 1 + past.argmax()
    return crossed["worse"], crossed["better"]


def _seen(kind: int, model: str, tuned: Numbers, base: Numbers) -> Numbers:
    """How many answers of each block are of a kind, shape (runs, n)."""
    return (tuned == kind).astype(int) if model == "tuned" else (base == kind).sum(axis=2)


def claims(
    world: World, rule: Rule, tuned: Numbers, base: Numbers, rng: np.random.Generator
) -> tuple[Numbers, Numbers]:
    """`evidence` by a rule, whose bound on the base may have to be measured first, anew in every run."""
    if rule.scheme is None or not rule.base_labels:
        return evidence(rule.kinds, tuned, base)
    finds = world.finds if world.finds_base is None else world.finds_base
    missed, passed_over = world.base * (1 - finds), (1 - world.base) * (1 - world.false_base)
    found = rng.binomial(rule.base_labels, missed / (missed + passed_over), size=len(tuned))
    fail, done = np.zeros(len(tuned), dtype=int), np.zeros(len(tuned), dtype=int)
    for k in np.unique(found):
        runs = found == k
        scheme = replace(rule.scheme, base_at_most=base_bound(int(k), rule.base_labels, BASE_SHARE * ALPHA))
        limit = log_threshold(DecisionSettings(alpha=(1 - BASE_SHARE) * ALPHA))
        fail[runs], done[runs] = evidence(scheme.kinds, tuned[runs], base[runs], fail_limit=limit)
    return fail, done


def share_of(hits: NDArray[np.bool_]) -> Row:
    """A share, and the chance of as many or more in that many runs if the true share were alpha."""
    k, n = int(hits.sum()), len(hits)
    return {
        "share": round(k / n, 4),
        "runs": n,
        "p_if_alpha": float(f"{math.exp(log_binomial_at_least(k, n, ALPHA)):.3g}"),
    }


ALONE = Rule("judge alone")
CASCADE = Rule("cascade, a tenth of the rest", Scheme(share=0.1), base_all=True)
