"""What a running test says: rates, intervals and evidence of each scope, and how many more answers it would take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from offtarget.records import Comparison, DecisionSettings, Interval, Role, Scope, Status, Tally
from offtarget.stats.bounds import RunningBound, grid
from offtarget.stats.decision import combined_log_e, fail_log_threshold, log_threshold
from offtarget.stats.eprocess import Array, BlockMixture, Kinds, columns_of
from offtarget.stats.evidence import Evidence
from offtarget.stats.intervals import clustered_interval, difference_intervals
from offtarget.stats.rates import missing_bounds, total_tally

FEWEST_BLOCKS = 5
"""Below this many blocks in an undecided arm its rates are too rough to project."""
MOST_ANSWERS = 1_000_000


@dataclass(frozen=True, slots=True)
class LiveScopes:
    """Builds the comparisons of one running test."""

    arms: tuple[str, ...]
    settings: DecisionSettings
    kinds: Kinds
    worse: BlockMixture
    better: BlockMixture
    tallies: Mapping[Role, Mapping[str, Tally]]
    alike: bool
    """Whether blocks inside a domain mix the arms as complete passes do."""

    def whole(self, name: str, counted: Evidence, probes: Sequence[str], arm_of: Mapping[str, int]) -> Comparison:
        """All arms together, each with the same weight."""
        between = _between(counted.average_lower, counted.average_upper)
        fail, done = counted.combined, counted.average_pass
        return self._comparison("overall", name, counted.by_arm, probes, arm_of, between, fail, done)

    def arm(
        self, name: str, index: int, counted: Evidence, probes: Sequence[str], arm_of: Mapping[str, int]
    ) -> Comparison:
        """One arm."""
        own = [p for p in probes if arm_of[p] == index]
        between = _between(counted.arm_lower[index], counted.arm_upper[index])
        fail, done = float(counted.arm_fail[index]), float(counted.arm_pass[index])
        return self._comparison("arm", name, counted.by_arm[index : index + 1], own, arm_of, between, fail, done)

    def slices(
        self,
        kind: Literal["domain", "question"],
        names: Sequence[str],
        counted: Evidence,
        group_of: Mapping[str, int],
        arm_of: Mapping[str, int],
    ) -> list[Comparison]:
        """One comparison per domain or question; bounds are for the average over the arms."""
        passes = counted.passes
        if kind == "domain":
            by_arm, everywhere = counted.by_domain, counted.domains
            averaged = passes.by_domain + (counted.extra if self.alike else 0.0)
        else:
            by_arm, everywhere = counted.by_question, counted.by_question.sum(axis=0)
            averaged = passes.by_question
        settings, ratio = self.settings, float(self.settings.base_per_tuned)
        intervals = difference_intervals(
            averaged, ratio, settings.alpha, self.kinds, grid(settings), lower_alpha=settings.fail_alpha
        )
        margin = self.better.differences.tolist().index(settings.margin)
        tolerance = self.worse.differences.tolist().index(settings.tolerance)
        fails, passed = self.worse.log_e_at(tolerance, everywhere), self.better.log_e_at(margin, averaged)
        result = []
        for i, name in enumerate(names):
            probes = [p for p, group in group_of.items() if group == i]
            parts = by_arm[sorted({arm_of[p] for p in probes}), i]
            if kind == "domain" and counted.extra[i].any():
                parts = everywhere[i : i + 1]
            evidence = (intervals[i], float(fails[i]), float(passed[i]))
            result.append(self._comparison(kind, name, parts, probes, arm_of, *evidence))
        return result

    def _comparison(
        self,
        kind: Scope,
        name: str,
        parts: Array,
        probes: Sequence[str],
        arm_of: Mapping[str, int],
        interval: Interval,
        log_e_fail: float,
        log_e_pass: float,
    ) -> Comparison:
        """One scope made of its parts, one per arm, shape (parts, kinds); all weigh the same in its rates."""
        tuned, base = rates_of(parts, self.kinds, "tuned"), rates_of(parts, self.kinds, "base")
        both = ~np.isnan(tuned) & ~np.isnan(base)
        known = bool(both.any())
        tuned_rate, base_rate = (_mean(rates[both] if known else rates) for rates in (tuned, base))
        return Comparison(
            scope=kind,
            name=name,
            base=total_tally(self._tally("base", p) for p in probes),
            tuned=total_tally(self._tally("tuned", p) for p in probes),
            base_rate=base_rate,
            tuned_rate=tuned_rate,
            difference=tuned_rate - base_rate if known and tuned_rate is not None and base_rate is not None else None,
            interval=interval if known else None,
            missing_bounds=self._missing(probes, arm_of),
            log_e_fail=log_e_fail if known else None,
            log_e_pass=log_e_pass if known else None,
            log_e_fail_adjusted=None,
            status=Status.UNDECIDED,
        )

    def with_evidence(self, scope: Comparison, log_e_fail: float, log_e_pass: float) -> Comparison:
        """The scope with evidence combined over arms and domains in place of its own; none stays none."""
        if scope.log_e_fail is None:
            return scope
        return replace(scope, log_e_fail=log_e_fail, log_e_pass=log_e_pass)

    def clustered(self, by_question: Array) -> Interval | None:
        """Interval over questions, from the questions that both models were asked in the same arm."""
        gaps = []
        for parts in np.moveaxis(by_question, 1, 0):
            apart = rates_of(parts, self.kinds, "tuned") - rates_of(parts, self.kinds, "base")
            gap = _mean(apart)
            if gap is not None:
                gaps.append(gap)
        return clustered_interval(gaps, self.settings.alpha)

    def sampled_ahead(self, used: int, probes: Sequence[str]) -> list[str]:
        """A note when more answers were scored than blocks hold."""
        scored = sum(self._tally(role, p).scored for role in ("base", "tuned") for p in probes)
        if scored <= used:
            return []
        return [f"{scored - used} scored answers were sampled ahead: they are tallied, but are no evidence."]

    def _tally(self, role: Role, probe: str) -> Tally:
        return self.tallies.get(role, {}).get(probe, Tally())

    def _missing(self, probes: Sequence[str], arm_of: Mapping[str, int]) -> Interval | None:
        """Bounds averaged over arms; within an arm a probe counts as often as it was drawn."""
        bounds = []
        for arm in sorted({arm_of[p] for p in probes}):
            members = [p for p in probes if arm_of[p] == arm]
            base = [self._tally("base", p) for p in members]
            tuned = [self._tally("tuned", p) for p in members]
            part = missing_bounds(base, tuned, _draws(base), _draws(tuned))
            if part is not None:
                bounds.append(part)
        if not bounds:
            return None
        return Interval(sum(b.low for b in bounds) / len(bounds), sum(b.high for b in bounds) / len(bounds))


def _draws(tallies: Sequence[Tally]) -> list[float]:
    """How often each probe was drawn: once per scored answer, and once if nothing could be scored."""
    return [float(t.scored or min(t.total, 1)) for t in tallies]


def rates_of(parts: Array, kinds: Kinds, model: Role) -> Array:
    """Misaligned rate of a model in each part, shape (parts,); parts have shape (parts, kinds); NaN without answers.

    An answer counts as its kind says of shown rates; one that stands for many can take the estimate to 1, not beyond.
    """
    columns = [i for i in columns_of(kinds, model) if kinds[i].in_rate]
    counts = parts[:, columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        rates: Array = counts @ np.array([kinds[i].rate for i in columns], dtype=float) / counts.sum(axis=1)
    return np.minimum(rates, 1.0)


def difference_of(part: Array, kinds: Kinds) -> float | None:
    """Tuned minus base rate in one part, shape (kinds,); None without answers of both."""
    return _mean(rates_of(part[None], kinds, "tuned") - rates_of(part[None], kinds, "base"))


def _mean(rates: Array) -> float | None:
    known = rates[~np.isnan(rates)]
    return float(known.mean()) if len(known) else None


def _between(lower: RunningBound, upper: RunningBound) -> Interval:
    """Both bounds; where they cross, one of them is wrong, and then neither is shown."""
    return Interval(lower.value, upper.value) if lower.value <= upper.value else Interval(-1.0, 1.0)


def answers_to_go(
    counted: Evidence,
    arms_passed: Sequence[bool],
    average_passed: bool,
    worse: BlockMixture,
    better: BlockMixture,
    kinds: Kinds,
    settings: DecisionSettings,
) -> int | None:
    """Tuned answers until PASS or FAIL, whichever comes first at the observed rates; None beyond a million.

    Counts are projected in proportion to those observed. An estimate for planning, without error probability; domains
    that look worse may ask for a few more.
    """
    by_arm, passes = counted.by_arm, counted.passes
    blocks = by_arm[:, columns_of(kinds, "tuned")].sum(axis=1)
    going = np.ones(len(blocks), dtype=bool) if all(arms_passed) else ~np.array(arms_passed)
    if (all(arms_passed) and average_passed) or (blocks[going] < FEWEST_BLOCKS).any():
        return None
    differences = worse.differences.tolist()
    tolerance, margin = differences.index(settings.tolerance), differences.index(settings.margin)
    pooled = differences.index(settings.pooled_margin)

    def failing(each: int) -> float:
        grown = np.where(going, 1 + each / np.maximum(blocks, 1), 1.0)
        arms = by_arm * grown[:, None]
        domains = (counted.by_domain * grown[:, None, None]).sum(axis=0) + counted.extra
        evidence = worse.log_e_at(tolerance, np.vstack([arms.sum(axis=0), arms, domains]))
        count = len(arms)
        return combined_log_e(float(evidence[0]), list(evidence[1 : 1 + count]), list(evidence[1 + count :]))

    def passing(arm: int) -> Callable[[int], float]:
        return lambda each: float(better.log_e_at(margin, by_arm[arm] * (1 + each / blocks[arm])))

    def averaging(each: int) -> float:
        return float(better.log_e_at(pooled, passes.total * (1 + each / passes.number)))

    estimates = []
    fail = _first(failing, fail_log_threshold(settings))
    if fail is not None:
        estimates.append(fail * int(going.sum()))
    wanted = np.array(blocks)
    for arm in np.flatnonzero(~np.array(arms_passed)):
        more = _first(passing(int(arm)), log_threshold(settings))
        wanted[arm] = math.inf if more is None else blocks[arm] + more
    if not average_passed:
        more = _first(averaging, log_threshold(settings)) if passes.number else None
        wanted = np.maximum(wanted, math.inf if more is None else passes.number + more)
    if np.isfinite(wanted).all():
        estimates.append(int((wanted - blocks).sum()))
    return min(estimates, default=None)


def _first(evidence: Callable[[int], float], threshold: float) -> int | None:
    """Least number of answers at which the projected evidence reaches the threshold."""
    high = 1
    while evidence(high) < threshold:
        high *= 2
        if high > MOST_ANSWERS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if evidence(middle) >= threshold else (middle, high)
    return high
