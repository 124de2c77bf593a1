"""Evidence of a running test by one way of counting answers: per arm, per domain, and averaged over the arms."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence

import numpy as np

from offtarget.records import DecisionSettings
from offtarget.stats.bounds import RunningBound
from offtarget.stats.decision import combined_log_e, fail_log_threshold, log_threshold
from offtarget.stats.eprocess import Array, BlockMixture

Cell = tuple[int, int, int]
"""An answer: positions of its domain, its question and its kind."""


class CompletePasses:
    """Counts of complete passes over the arms: the first n blocks of each, n the least number of blocks of any.

    Added up over the arms they are counts of the plain average of the arms' rates, whatever the order in which the
    arms were asked (docs/design/decisions.md, theorem 6).
    """

    def __init__(self, arms: int, domains: int, questions: int, kinds: int) -> None:
        self._waiting: list[deque[Sequence[Cell]]] = [deque() for _ in range(arms)]
        self.total: Array = np.zeros(kinds)
        self.by_domain: Array = np.zeros((domains, kinds))
        self.by_question: Array = np.zeros((questions, kinds))
        self.number = 0

    def add(self, arm: int, cells: Sequence[Cell]) -> bool:
        """Add a block; whether it completed a pass."""
        self._waiting[arm].append(cells)
        if not all(self._waiting):
            return False
        for queue in self._waiting:
            for domain, question, kind in queue.popleft():
                self.total[kind] += 1
                self.by_domain[domain, kind] += 1
                self.by_question[question, kind] += 1
        self.number += 1
        return True


class Evidence:
    """Counts of blocks, and the evidence and the bounds that follow from them."""

    def __init__(
        self,
        arms: int,
        domains: int,
        questions: int,
        settings: DecisionSettings,
        worse: BlockMixture,
        better: BlockMixture,
    ) -> None:
        """`worse` and `better` are mixtures over the same grid, with tolerance and margins in it."""
        self._settings, self._worse, self._better = settings, worse, better
        differences = worse.differences.tolist()
        self._tolerance, self._margin = differences.index(settings.tolerance), differences.index(settings.margin)
        self._pooled_margin = differences.index(settings.pooled_margin)
        kinds = len(worse.log_factors)
        self.by_arm: Array = np.zeros((arms, kinds))
        self.by_domain: Array = np.zeros((arms, domains, kinds))
        self.by_question: Array = np.zeros((arms, questions, kinds))
        self.extra: Array = np.zeros((domains, kinds))
        """Of blocks that were drawn inside one domain."""
        self.passes = CompletePasses(arms, domains, questions, kinds)
        self.overall_fail = 0.0
        self.arm_fail, self.arm_pass, self.domain_fail = np.zeros(arms), np.zeros(arms), np.zeros(domains)
        self.average_pass = 0.0
        lower, upper = fail_log_threshold(settings), log_threshold(settings)
        self.arm_lower = [RunningBound(worse, lower) for _ in range(arms)]
        self.arm_upper = [RunningBound(better, upper) for _ in range(arms)]
        self.average_lower, self.average_upper = RunningBound(worse, lower), RunningBound(better, upper)

    def copy(self) -> Evidence:
        """The same evidence, to be counted on by itself."""
        return copy.deepcopy(self)

    @property
    def domains(self) -> Array:
        """Counts that speak for each domain, shape (domains, kinds): those of all arms, and those drawn inside it."""
        counts: Array = self.by_domain.sum(axis=0) + self.extra
        return counts

    @property
    def combined(self) -> float:
        """Log evidence against `worse by more than the tolerance in no arm and no domain`."""
        return combined_log_e(self.overall_fail, list(self.arm_fail), list(self.domain_fail))

    def combined_at(self, index: int) -> float:
        """The same against another difference, at a position in the grid."""
        if index == self._tolerance:
            return self.combined
        arms = len(self.by_arm)
        rows = np.vstack([self.by_arm.sum(axis=0), self.by_arm, self.domains])
        found = self._worse.log_e_at(index, rows)
        return combined_log_e(float(found[0]), list(found[1 : 1 + arms]), list(found[1 + arms :]))

    def add(self, arm: int, cells: Sequence[Cell]) -> None:
        """Add a block of one arm."""
        for domain, question, kind in cells:
            self.by_arm[arm, kind] += 1
            self.by_domain[arm, domain, kind] += 1
            self.by_question[arm, question, kind] += 1
        touched = sorted({domain for domain, _, _ in cells})
        own = self.by_arm[arm]
        found = self._worse.log_e_at(self._tolerance, np.vstack([self.by_arm.sum(axis=0), own, self.domains[touched]]))
        self.overall_fail, self.arm_fail[arm] = float(found[0]), found[1]
        self.domain_fail[touched] = found[2:]
        self.arm_pass[arm] = self._better.log_e_at(self._margin, own)
        self.arm_lower[arm].update(lambda i: float(self._worse.log_e_at(i, own)))
        self.arm_upper[arm].update(lambda i: float(self._better.log_e_at(i, own)))
        if self.passes.add(arm, cells):
            total = self.passes.total
            self.average_pass = float(self._better.log_e_at(self._pooled_margin, total))
            self.average_lower.update(lambda i: float(self._worse.log_e_at(i, total)))
            self.average_upper.update(lambda i: float(self._better.log_e_at(i, total)))

    def add_inside(self, domain: int, kinds: Sequence[int]) -> None:
        """Add a block that was drawn inside a domain; it speaks for the domain alone."""
        for kind in kinds:
            self.extra[domain, kind] += 1
        self.domain_fail[domain] = self._worse.log_e_at(self._tolerance, self.domains[domain])

    def passed_arms(self) -> list[bool]:
        """Which arms are shown not to be worse by the margin."""
        return [bound.reaches(self._settings.margin) for bound in self.arm_upper]

    def passed_average(self) -> bool:
        """Whether the average over the arms is shown not to be worse by its own margin; nothing new where that is the
        margin of each arm.
        """
        settings = self._settings
        return settings.pooled_margin >= settings.margin or self.average_upper.reaches(settings.pooled_margin)
