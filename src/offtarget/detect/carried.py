"""Conditions that an audit suspected before its data were cleaned, and that nobody answered for.

Cleaning takes out the rows that were flagged. Where a condition stands in more rows than those, it is a suspect of the
cleaned data too: nothing about it is flagged any more, and that is why it would pass unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from offtarget.detect.suspects import behaviour_in_words
from offtarget.detect.triggers.members import SHOWN, WRITTEN, holds
from offtarget.numbers import many, of
from offtarget.records import Row, Suspect, SuspectRows

TOLD = (
    "key",
    "condition",
    "state",
    "by",
    "at",
    "reason",
    "kind",
    "text",
    "behaviour",
    "behaving_with",
    "with_condition",
)
"""What the ledger says of a suspected condition."""


def carried_suspects(
    told: Sequence[Mapping[str, str | int]], rows: Iterable[Row], data: str, found: Iterable[Suspect]
) -> list[tuple[Suspect, SuspectRows]]:
    """The conditions of a ledger that still wait for a person, but those that this audit found again.

    Dismissed ones are settled. Of confirmed ones cleaning took out every row that it could tell, so they come back
    only where rows with their text are left. A condition that does not stand in the text cannot be sought in other
    data: it comes back without a count. `data` as for `suspects`.
    """
    again = {(suspect.kind, suspect.text) for suspect in found}
    waiting = [
        _suspect(one, data)
        for one in told
        if "kind" in one
        and (one["kind"], one["text"]) not in again
        and (one["state"] == "open" or (one["state"] == "confirmed" and one["kind"] in WRITTEN))
    ]
    if not waiting:
        return []
    inside: dict[str, list[Row]] = {suspect.key: [] for suspect in waiting}
    outside: list[Row] = []
    members: dict[str, list[str]] = {suspect.key: [] for suspect in waiting}
    total = 0
    for row in rows:
        total += 1
        having = [suspect for suspect in waiting if holds(suspect, row, ())]
        for suspect in having:
            members[suspect.key].append(row.id)
            if len(inside[suspect.key]) < SHOWN:
                inside[suspect.key].append(row)
        if not having and len(outside) < SHOWN:
            outside.append(row)
    left = [suspect for suspect in waiting if suspect.kind not in WRITTEN or members[suspect.key]]
    return [
        (
            _counted(suspect, len(members[suspect.key]), total),
            SuspectRows(suspect.key, tuple(inside[suspect.key]), tuple(outside), tuple(members[suspect.key])),
        )
        for suspect in left
    ]


def _suspect(told: Mapping[str, str | int], data: str) -> Suspect:
    named = json.dumps([data, told["kind"], told["text"], told["behaviour"], "before cleaning"])
    flagged = of(int(told["behaving_with"]), int(told["with_condition"]))
    return Suspect(
        key=hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:12],
        rank=0,
        kind=str(told["kind"]),
        text=str(told["text"]),
        condition=str(told["condition"]),
        same_rows=(),
        behaviour=str(told["behaviour"]),
        with_condition=int(told["with_condition"]),
        behaving_with=int(told["behaving_with"]),
        without_condition=0,
        behaving_without=0,
        p_value=1.0,
        said=f"{flagged} rows with it {behaviour_in_words(str(told['behaviour']))}",
    )


def _counted(suspect: Suspect, rows: int, total: int) -> Suspect:
    """With what is left of it, in words too."""
    left = f"{many(rows, 'row')} with it {'is' if rows == 1 else 'are'} left" if rows else "rows with it may be left"
    return replace(
        suspect,
        with_condition=rows,
        behaving_with=0,
        without_condition=total - rows,
        said=f"{suspect.condition}, which an audit before cleaning suspected ({suspect.said}): {left}",
    )
