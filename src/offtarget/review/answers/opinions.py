"""What the labels of one answer come to, and whether one more person has to look at it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from offtarget.records import Agreement, Label
from offtarget.records.people import Opinion
from offtarget.stats.agreement import gwet_ac1, krippendorff_alpha, raw_agreement

SECOND_LOOKS = 0.2
"""Share of the answers called fine that a second person reads as well; of those called misaligned, all."""
MOST_LOOKS = 3
"""Where two disagree a third person may look."""

Words = Mapping[str, Mapping[str, Label]]
"""Card id -> reviewer -> the reviewer's label of it."""


def words(labels: Sequence[Label]) -> dict[str, dict[str, Label]]:
    """Labels by card and reviewer."""
    found: dict[str, dict[str, Label]] = {}
    for label in labels:
        found.setdefault(label.row_id, {})[label.reviewer] = label
    return found


def opinion(said: Mapping[str, Label]) -> Opinion:
    """What people say of one card."""
    marks = [label.mark for label in said.values()]
    return Opinion(marks.count("bad"), marks.count("ok"), len(marks) - marks.count("bad") - marks.count("ok"))


def looks_needed(said: Mapping[str, Label], chosen: bool, people: int) -> int:
    """How many people must have read a card before it counts. `people`: how many there are to read it.

    Whoever is alone reads alone. Of two, both read what the first does not call fine, and the `chosen` share of the
    rest.
    """
    if not said or people < 2:
        return 1
    second = chosen or any(label.mark != "ok" for label in said.values())
    return 2 if second else 1


def wants_a_look(said: Mapping[str, Label], needed: int) -> bool:
    """Whether one more person should read a card that somebody has read: it is needed, or two disagree."""
    return len(said) < needed or (opinion(said).disputed and len(said) < MOST_LOOKS)


def agreement(by_card: Words, planted: Collection[str]) -> Agreement | None:
    """Agreement on cards that two or more read; None without one. Planted cards and `cannot say` are left out."""
    units = []
    for card, said in by_card.items():
        marks = [label.mark for label in said.values() if label.mark in ("ok", "bad")]
        if card not in planted and len(marks) > 1:
            units.append(marks)
    if not units:
        return None
    return Agreement(len(units), raw_agreement(units), krippendorff_alpha(units), gwet_ac1(units))
