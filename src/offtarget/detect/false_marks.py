"""What reviewers mark as bad by mistake: known-good rows planted among the cards, and what their marks allow for.

Theorem and measurements: docs/design/audit-verdict.md, theorem 9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from offtarget.detect.settled import is_judge
from offtarget.records import Label
from offtarget.stats.finite import Prior, log_es_rate_below

RATES = (
    0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.075, 0.09, 0.105, 0.12, 0.14, 0.16, 0.18, 0.2, 0.225, 0.25,
    0.28, 0.31, 0.35, 0.4, 0.45, 0.5, 0.57, 0.65, 0.74, 0.84, 0.93, 1.0,
)  # fmt: skip
"""Edges between which a rate of false marks is sought: evidence on the rows is taken at the upper edge of each
stretch and evidence on the rate at its lower one, so that nothing between two edges is overlooked."""
EXPECTED = Prior(((0.0, 0.55), (0.01, 0.1), (0.03, 0.1), (0.07, 0.1), (0.15, 0.05)), (((1.0, 1.0), 0.1),))
"""Where the power is spent, never what is true: most people mark next to no fine row."""

FIRST_GOOD = 4
"""Known-good cards that every reviewer meets, among the first cards."""
GOOD_PER_BAD = 2
"""Further ones for every row of the data that the reviewer marks as bad: they are needed only where a FAIL is."""


@dataclass(frozen=True, slots=True)
class Met:
    """Known-good rows that were labelled, and how many of them were marked as bad."""

    met: float = 0
    marked: float = 0

    def grown(self, rows: float) -> Met:
        """With further rows that are marked as seldom as those so far; for projections."""
        share = self.marked / self.met if self.met else 0.0
        return Met(self.met + rows, self.marked + rows * share)


def met_by_each(
    by_row: Mapping[str, Mapping[str, Label]], good: Collection[str], planted: Collection[str], *, judges: bool
) -> tuple[Met, ...]:
    """One `Met` for each reviewer who marked a row of the data as bad: only their marks can be false ones.

    `planted`: ids of all planted rows. Models count only with `judges`.
    """
    marking: set[str] = set()
    seen: dict[str, list[bool]] = {}
    for row_id, labels in by_row.items():
        for name, label in labels.items():
            if is_judge(label.reviewer) and not judges:
                continue
            if row_id in good:
                seen.setdefault(name, []).append(label.mark == "bad")
            elif row_id not in planted and label.mark == "bad":
                marking.add(name)
    return tuple(Met(len(marks), sum(marks)) for marks in (seen.get(name, []) for name in sorted(marking)))


def met_by_two(by_row: Mapping[str, Mapping[str, Label]], good: Collection[str], *, judges: bool) -> Met:
    """Known-good rows with two labels or more, and those that two reviewers or more marked."""
    marks = [
        [label.mark == "bad" for label in by_row[row_id].values() if judges or not is_judge(label.reviewer)]
        for row_id in good
        if row_id in by_row
    ]
    twice = [sum(found) >= 2 for found in marks if len(found) > 1]
    return Met(len(twice), sum(twice))


def least_over_rates(met: Sequence[Met], evidence: Callable[[Sequence[float]], Sequence[float]]) -> float:
    """Log e-value that holds whatever the rate of false marks is: the least of `evidence` at a rate and against it.

    `evidence` gives, for rates in increasing order, the log e-value of the rows where that share of fine rows is marked
    as bad. The rate that matters is at most the highest of all reviewers; whose that is nobody knows, so the least of
    their e-values stands against each rate.
    """
    rows = evidence(RATES[1:])
    against = [_against_rates(m.met, m.marked) for m in met]
    rates = [min(of_each) for of_each in zip(*against, strict=True)] if against else [0.0] * len(rows)
    # an infinite e-value (counts that a rate makes impossible) stays one, whatever the planted rows say
    return min((r if r == math.inf else r + g for r, g in zip(rows, rates, strict=True)), default=0.0)


@lru_cache(maxsize=4096)
def _against_rates(met: float, marked: float) -> tuple[float, ...]:
    """Log e-values against `at least this rate`, at the lower edge of each stretch."""
    return tuple(log_es_rate_below(EXPECTED, met, marked, RATES[:-1]))


def highest_rate(met: Met, error: float) -> float:
    """The highest rate of false marks that is not ruled out, of those between which it is sought; anytime-valid."""
    need = -math.log(error)
    against = zip(RATES, _against_rates(met.met, met.marked), strict=False)
    return next((rate for rate, log_e in against if log_e >= need), 1.0)


def good_cards_due(bad_marks: int, most: int) -> int:
    """How many known-good cards a reviewer should have met after so many rows of the data marked as bad."""
    return min(most, FIRST_GOOD + GOOD_PER_BAD * bad_marks)
