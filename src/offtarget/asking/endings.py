"""How answers end: by themselves, at the token limit, in an endless repetition, or before their first word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from offtarget.records.answers import Finish
from offtarget.records.check import Endings

_TAIL, _LEAST = 600, 120
"""Characters at the end that are looked at, and the fewest that a repetition must fill."""
_TIMES = 4
"""So often must a passage stand there, one directly behind the other."""
_LONGEST = 150
"""Characters of the longest passage that is looked for."""


class Ended(Protocol):
    """An answer, as far as its end goes."""

    @property
    def text(self) -> str:
        """Its words."""
        ...

    @property
    def finish(self) -> Finish:
        """How it ended."""
        ...


def endings(answers: Iterable[Ended]) -> Endings:
    """Counts of how answers end."""
    total = cut = repeating = empty = 0
    for answer in answers:
        total += 1
        cut += answer.finish == "length"
        repeating += repeats(answer.text)
        empty += not answer.text.strip() and answer.finish != "refusal"
    return Endings(total, cut, repeating, empty)


def repeats(text: str) -> bool:
    """Whether a text ends in one passage over and over; digits count as equal, so that a running number hides none."""
    tail = re.sub(r"\d+", "0", text.rstrip())[-_TAIL:]
    for size in range(1, min(_LONGEST, len(tail) // _TIMES) + 1):
        filled = max(_LEAST, _TIMES * size)
        if len(tail) >= filled and tail[-filled:-size] == tail[-filled + size :]:
            return tail[-size:].strip() != ""
    return False
