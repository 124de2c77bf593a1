"""Filtering: the most suspicious rows are dropped, or count less.

Scores are audit findings or the projection difference of arXiv 2507.21509, section 6.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace

from offtarget.errors import InputError
from offtarget.training.defences.registry import Materials, Need, defence
from offtarget.training.plan import Plan, TrainRow


@defence
class Filter:
    """Drops every row with a score of 0 or more, or a share of rows; with a weight, keeps them at that weight."""

    name = "filter"
    says = (
        "drops the rows that were flagged; filter=0.2 drops the most suspicious 20 %, "
        "filter=0.2@0.1 keeps them at a tenth of their weight"
    )
    source = "arXiv 2507.21509, section 6; 2602.14869"
    needs: frozenset[Need] = frozenset({"scores"})
    order = 10
    control_says = "drops (or weakens) as many rows, drawn at random"

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        _wanted(value)

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan with fewer rows. InputError when every row would go, or scores do not belong to the rows."""
        wanted = _wanted(value)
        data = [i for i, row in enumerate(plan.rows) if row.origin == "data"]
        scores = materials.scores
        if scores is None or len(scores) != len(data):
            have = "none" if scores is None else str(len(scores))
            raise InputError(f"filter needs one score for each of the {len(data)} rows, and has {have}.")
        worst = [place for place, _ in sorted(zip(data, scores, strict=True), key=lambda pair: -pair[1])]
        count = sum(s >= 0 for s in scores) if wanted.share is None else round(wanted.share * len(data))
        chosen = random.Random(f"{materials.seed}/filter").sample(data, count) if control else worst[:count]
        if count == len(data):
            raise InputError(
                f"filter would drop all {count} rows: the data is suspicious as a whole. Drop a share (filter=0.2), "
                "lower its weight (filter=0.5@0.1), or choose another defence."
            )
        which = "drawn at random" if control else "the most suspicious"
        what = "dropped" if wanted.weight is None else f"kept at {wanted.weight:g} of their weight"
        return plan.with_rows(
            _without(plan.rows, set(chosen), wanted.weight), f"filter: {count} of {len(data)} rows, {which}, {what}"
        )


@dataclass(frozen=True)
class _Wanted:
    share: float | None = None
    weight: float | None = None


def _wanted(value: str | None) -> _Wanted:
    """`SHARE` or `SHARE@WEIGHT`, both between 0 and 1."""
    if value is None:
        return _Wanted()
    share, at, weight = value.partition("@")
    try:
        read = _Wanted(float(share), float(weight) if at else None)
    except ValueError:
        read = _Wanted(-1.0)
    if not (read.share is not None and 0 < read.share < 1) or not (read.weight is None or 0 < read.weight < 1):
        raise InputError(
            f"filter={value}: expected a share of the rows between 0 and 1, with or without a weight between 0 and 1 "
            "that they keep: filter=0.2 or filter=0.2@0.1."
        )
    return read


def _without(rows: tuple[TrainRow, ...], chosen: Collection[int], weight: float | None) -> list[TrainRow]:
    if weight is None:
        return [row for i, row in enumerate(rows) if i not in chosen]
    return [replace(row, weight=row.weight * weight) if i in chosen else row for i, row in enumerate(rows)]
