"""A detector that never comes to an end on some rows, each in its own way of not being interruptible by Python."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable

from offtarget.detect import row_time
from offtarget.records import Category, Finding, Row

_EXPONENTIAL = re.compile(r"(?:a+)+b")


class Endless:
    """Stays in a loop, in a regular expression, or in code that passes over every error, for rows that say so."""

    name = "endless"
    title = "Rows that never end"
    category = Category.OTHER
    cues: frozenset[str] | None = None

    def __init__(self, seconds: float) -> None:
        """`seconds`: the time a row may take, in whichever process it is read."""
        self.__setstate__(seconds)

    def __getstate__(self) -> float:
        return self._seconds

    def __setstate__(self, seconds: float) -> None:
        self._seconds = row_time.LEAST = seconds

    def find(self, row: Row) -> Iterable[Finding]:
        """No finding."""
        while "loop" in row.answer:
            pass
        if "expression" in row.answer:
            _EXPONENTIAL.search("a" * 60)
        while "careless" in row.answer:
            with contextlib.suppress(Exception):
                _EXPONENTIAL.search("a" * 22)
        return []
