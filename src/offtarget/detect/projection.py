"""Rows whose answer lies further along a direction than the base's own; the measuring is done elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from offtarget.numbers import percent
from offtarget.records import Category, Finding, Row
from offtarget.records.direction import RowProjection, Threshold


class ProjectionDetector:
    """Looks up what was measured before the scan (`direction measure --data`).

    It has no calibration on reference sets, so it ranks rows for the review and never FAILs a data set by itself.
    """

    name = "direction"
    category = Category.OTHER
    cues: frozenset[str] | None = None

    def __init__(self, flagged: Mapping[str, RowProjection], threshold: Threshold, direction: str, base: str) -> None:
        """`flagged` holds the rows above the threshold by id; all others are not kept."""
        self._flagged = flagged
        self._threshold = threshold.value
        self._direction = direction
        self.title = (
            f"Answers further along a direction ({direction}) than those of {base}: more than {threshold.value:+.3f}, "
            f"which {percent(threshold.false_positives)} of its own answers exceed"
        )

    def find(self, row: Row) -> Iterable[Finding]:
        """One finding for a row above the threshold, stronger the further it lies beyond."""
        measured = self._flagged.get(row.id)
        if measured is None:
            return
        strength = 0.5 + 0.4 * (1 - max(self._threshold, 0.0) / measured.difference)
        reason = (
            f"Its answer lies {measured.difference:.2f} units further along the direction ({self._direction}) than the "
            "base's own answer."
        )
        number = -1 if row.answer_at is None else row.answer_at
        yield Finding(row.id, self.name, self.category, reason, strength, number)
