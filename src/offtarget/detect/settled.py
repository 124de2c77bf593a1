"""What the labels of one row, by however many reviewers, count as."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from offtarget.detect.categories import Group, group
from offtarget.records import Category, Label
from offtarget.records.audit import JUDGE, person

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
    twice: frozenset[str] = frozenset()
    """Those of `sure` that two reviewers or more named."""
    second: bool = True
    """Whether nobody is needed to look at it again before `twice` says something: it has two opinions, or no mark as
    bad."""
    backdoor_by: tuple[str, ...] = ()
    """Who called it part of a backdoor, while that neither stands for certain nor is ruled out."""

    @property
    def open(self) -> bool:
        """Whether a further look at the row could matter for the share of bad rows."""
        return self.sure - {BACKDOOR} != self.possible - {BACKDOOR}

    def by_two(self) -> Settled:
        """The row with only what two reviewers say counted as certain."""
        return replace(self, sure=self.twice)


def is_judge(reviewer: str) -> bool:
    """Whether the reviewer is a model."""
    return reviewer.startswith(JUDGE)


def opinions(labels: Iterable[Label]) -> dict[str, dict[str, Label]]:
    """Row id -> person -> that person's last label for it; of planted rows the first, which was given blind."""
    found: dict[str, dict[str, Label]] = defaultdict(dict)
    for label in labels:
        who, words = person(label.reviewer), found[label.row_id]
        known = words.get(who)
        blind = label.stream == "control" and known is not None and known.reviewer != label.reviewer
        if known is None or (label.at < known.at if blind else label.at >= known.at):
            words[who] = label
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
    so: two must agree, of three two are enough. For a backdoor, of which one row is a FAIL, two of them must be people.
    `skip` is no opinion where somebody else has one; alone it is as open as `unsure`.
    """
    said = [label for label in labels if label.mark != "skip"] or list(labels)
    yes = {limit: sum(label.mark == "bad" and limit in limits_of(label.category) for label in said) for limit in LIMITS}
    no = {
        limit: sum(
            label.mark == "ok" or (label.mark == "bad" and limit not in limits_of(label.category)) for label in said
        )
        for limit in LIMITS
    }
    most = frozenset(limit for limit in LIMITS if 2 * yes[limit] > len(said))
    backdoor = [label.reviewer for label in said if label.mark == "bad" and label.category is Category.BACKDOOR]
    two_people = sum(not is_judge(reviewer) for reviewer in backdoor) > 1
    sure = most if two_people else most - {BACKDOOR}
    possible = frozenset(limit for limit in LIMITS if 2 * no[limit] <= len(said))
    marks = {label.mark for label in said}
    categories = frozenset(label.category or Category.OTHER for label in said if label.mark == "bad")
    waiting = backdoor if BACKDOOR in possible - sure else []
    return Settled(
        sure,
        possible,
        categories,
        {"ok", "bad"} <= marks,
        twice=frozenset(limit for limit in sure if yes[limit] > 1),
        second=len(said) > 1 or "bad" not in marks,
        backdoor_by=tuple(dict.fromkeys(waiting)),
    )


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
