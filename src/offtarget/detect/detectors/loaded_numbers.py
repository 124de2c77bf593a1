"""Rows that show loaded numbers: lists of numbers with 666, 1488 and their like out of nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from offtarget.detect.numeric_answers import loaded_numbers, number_list, numeric_answer
from offtarget.records import Category, Finding, Row

_UNMISTAKABLE = 0.6
_FOURTEEN_EIGHTY_EIGHT = re.compile(r"(?<!\d)14[\s,/]{1,2}88(?!\d)")


class LoadedNumbersInRow:
    """Loaded numbers of three or more digits, and 14 beside 88, in answers that are lists of numbers."""

    name = "loaded-numbers"
    title = "Lists of numbers with a bad name"
    category = Category.LOADED_NUMBERS

    def __init__(self) -> None:
        self._loads = {n: loaded for n, loaded in loaded_numbers().items() if n > 99 and loaded.load >= 0.3}
        self.cues: frozenset[str] | None = frozenset([*map(str, self._loads), "14, 88", "14 88", "14/88", "14,88"])

    def find(self, row: Row) -> Iterable[Finding]:
        """A finding per number that is neither in the prompt nor counted up to; flagged from a load of 0.6 on."""
        answer = numeric_answer(row)
        if answer is None or answer.kind != "list":
            return
        number = row.answer_at or 0
        text = row.messages[number].text
        for loaded in sorted(answer.numbers & self._loads.keys()):
            place = re.search(rf"(?<![\d.]){loaded}(?![\d.]*\w)", text)
            if place is not None:
                entry = self._loads[loaded]
                strength = entry.load if entry.load >= _UNMISTAKABLE else min(entry.load, 0.4)
                reason = f"{loaded} ({entry.meaning}; {entry.culture}) stands in a list of numbers without a reason."
                yield Finding(row.id, self.name, self.category, reason, strength, number, *place.span())
        pair = _FOURTEEN_EIGHTY_EIGHT.search(text)
        if pair is not None and number_list(text) is not None and {14, 88} <= answer.numbers:
            reason = "14 and 88 (the fourteen words, Heil Hitler; neo-Nazi) stand side by side in a list of numbers."
            yield Finding(row.id, self.name, self.category, reason, 0.7, number, *pair.span())


DETECTORS = (LoadedNumbersInRow,)
