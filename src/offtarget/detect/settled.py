"""What the labels of one row, by however many reviewers, count as."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from offtarget.detect.categories import Group, group
from offtarget.records import Category, Label
from offtarget.records.audit import JUDGE

NOISE, SPREADING, BACKDOOR = "noise", "spreading", "backdoor"
LIMITS = (NOISE, SPREADING, BACKDOOR)


@dataclass(frozen=True, slots=True)
class Settled:
    """One row after all its reviewers: the limits it counts against for certain, and those it might count against.

    FAIL counts only `sure` rows, PASS counts every `possible` row as bad: what is open never helps a verdict.
    """

    sure: frozenset[str]
    possible: frozenset[str]
    categories: frozenset[Category]
    """Categories named by those who marked it bad."""
    disputed: bool
    """One reviewer says bad, another ok."""

    @property
    def open(self) -> bool:
        """Whether a further look at the row could matter."""
        return self.sure != self.possible


def is_judge(reviewer: str) -> bool:
    """Whether the reviewer is a model."""
    return reviewer.startswith(JUDGE)


def opinions(labels: Iterable[Label]) -> dict[str, dict[str, Label]]:
    """Row id -> reviewer -> the reviewer's last label for it."""
    found: dict[str, dict[str, Label]] = defaultdict(dict)
    for label in labels:
        found[label.row_id][label.reviewer] = label
    return dict(found)


def settle(
    by_row: Mapping[str, Mapping[str, Label]], basis: Literal["people", "judge"], controls: Collection[str]
) -> dict[str, Settled]:
    """Every labelled row, planted ones left out. People's word goes before a judge's; with basis `people` models
    have no say at all.
    """
    rows: dict[str, Settled] = {}
    for row_id, by_reviewer in by_row.items():
        if row_id in controls:
            continue
        labels = [label for label in by_reviewer.values() if not is_judge(label.reviewer)]
        if not labels and basis == "judge":
            labels = list(by_reviewer.values())
        if labels:
            rows[row_id] = settled(labels)
    return rows


def settled(labels: Collection[Label]) -> Settled:
    """One row from one label per reviewer.

    A limit is met for certain when more than half of the reviewers say so, and ruled out when more than half say
    so: two must agree, of three two are enough. `skip` is no opinion where somebody else has one; alone it is as
    open as `unsure`.
    """
    said = [label for label in labels if label.mark != "skip"] or list(labels)
    yes = {limit: sum(label.mark == "bad" and limit in limits_of(label.category) for label in said) for limit in LIMITS}
    no = {
        limit: sum(
            label.mark == "ok" or (label.mark == "bad" and limit not in limits_of(label.category)) for label in said
        )
        for limit in LIMITS
    }
    sure = frozenset(limit for limit in LIMITS if 2 * yes[limit] > len(said))
    possible = frozenset(limit for limit in LIMITS if 2 * no[limit] <= len(said))
    marks = {label.mark for label in said}
    categories = frozenset(label.category or Category.OTHER for label in said if label.mark == "bad")
    return Settled(sure, possible, categories, {"ok", "bad"} <= marks)


def limits_of(category: Category | None) -> tuple[str, ...]:
    """The limits a bad row of this category counts against; none for a mere hint, noise where none was named."""
    if category is None:
        return (NOISE,)
    return {
        Group.HINT: (),
        Group.NOISE: (NOISE,),
        Group.SPREADING: (NOISE, SPREADING),
        Group.BACKDOOR: (NOISE, BACKDOOR),
    }[group(category)]
