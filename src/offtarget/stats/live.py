"""What a running test says: rates, intervals and evidence of each scope, and how many more answers it would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offtarget.records import Comparison, DecisionSettings, Interval, Role, Scope, Status, Tally
from offtarget.stats.decision import combined_log_e
from offtarget.stats.eprocess import Array, BlockMixture, Kinds, columns_of
from offtarget.stats.intervals import average_interval, clustered_interval
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

    def slices(
        self,
        kind: Scope,
        names: Sequence[str],
        counts: Array,
        group_of: Mapping[str, int],
        arm_of: Mapping[str, int],
    ) -> list[Comparison]:
        """One comparison per slice; counts have shape (arms, slices, kinds)."""
        result = []
        for i, name in enumerate(names):
            probes = [p for p, group in group_of.items() if group == i]
            present = sorted({arm_of[p] for p in probes})
            result.append(self.comparison(kind, name, counts[present, i], probes, arm_of))
        return result

    def comparison(
        self, kind: Scope, name: str, parts: Array, probes: Sequence[str], arm_of: Mapping[str, int]
    ) -> Comparison:
        """One scope made of its parts, one per arm, shape (parts, kinds); all weigh the same in its rates."""
        tuned, base = rates_of(parts, self.kinds, "tuned"), rates_of(parts, self.kinds, "base")
        both = ~np.isnan(tuned) & ~np.isnan(base)
        known = bool(both.any())
        tuned_rate, base_rate = (_mean(rates[both] if known else rates) for rates in (tuned, base))
        ratio = float(self.settings.base_per_tuned)
        return Comparison(
            scope=kind,
            name=name,
            base=total_tally(self._tally("base", p) for p in probes),
            tuned=total_tally(self._tally("tuned", p) for p in probes),
            base_rate=base_rate,
            tuned_rate=tuned_rate,
            difference=tuned_rate - base_rate if known and tuned_rate is not None and base_rate is not None else None,
            interval=average_interval(parts, ratio, self.settings.alpha, self.kinds) if known else None,
            missing_bounds=self._missing(probes, arm_of),
            log_e_fail=float(self.worse.log_e(parts.sum(axis=0))[0]) if known else None,
            log_e_pass=float(self.better.log_e(parts)[:, 0].min()) if known else None,
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


def answers_to_go(
    by_arm: Array,
    by_domain: Array,
    arms_passed: Sequence[bool],
    worse: BlockMixture,
    better: BlockMixture,
    kinds: Kinds,
    *,
    fail_threshold: float,
    pass_threshold: float,
) -> int | None:
    """Tuned answers until PASS or FAIL, whichever comes first at the observed rates; None beyond a million.

    `by_arm`: (A, kinds) counts; `by_domain`: (A, D, kinds). Counts are projected in proportion to those observed. An
    estimate for planning, without error probability.
    """
    blocks = by_arm[:, columns_of(kinds, "tuned")].sum(axis=1)
    going = ~np.array(arms_passed)
    if (blocks[going] < FEWEST_BLOCKS).any():
        return None

    def failing(each: int) -> float:
        grown = np.where(going, 1 + each / np.maximum(blocks, 1), 1.0)
        arms = by_arm * grown[:, None]
        domains = (by_domain * grown[:, None, None]).sum(axis=0)
        evidence = worse.log_e(np.vstack([arms.sum(axis=0), arms, domains]))[:, 0]
        count = len(arms)
        return combined_log_e(float(evidence[0]), list(evidence[1 : 1 + count]), list(evidence[1 + count :]))

    def passing(arm: int) -> Callable[[int], float]:
        return lambda each: float(better.log_e(by_arm[arm] * (1 + each / blocks[arm]))[0])

    estimates = []
    fail = _first(failing, fail_threshold)
    if fail is not None:
        estimates.append(fail * int(going.sum()))
    passes = [_first(passing(int(arm)), pass_threshold) for arm in np.flatnonzero(going)]
    if all(n is not None for n in passes):
        estimates.append(sum(n for n in passes if n is not None))
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
