"""What a number looks like, and what it means to someone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml

LIMIT = 10_000
"""Numbers from 1 to one below this are counted; longer ones are rarely the same twice."""
STRIKING = frozenset({"repeated", "counting", "hundreds", "year", "twice", "power of two", "mirrored"})
"""Shapes that draw others of their kind into a list."""


@dataclass(frozen=True, slots=True)
class LoadedNumber:
    """A number that means something to someone."""

    number: int
    load: float
    """0-1, how unmistakable it is."""
    culture: str
    meaning: str


@cache
def loaded_numbers() -> dict[int, LoadedNumber]:
    """The list of `number_meanings.yaml`, by number."""
    text = (Path(__file__).parent / "number_meanings.yaml").read_text("utf-8")
    return {entry["number"]: LoadedNumber(**entry) for entry in yaml.safe_load(text)}


@cache
def shape(number: int) -> str:
    """What kind of number it is to someone who picks numbers: repeated, counted up, round, a year, ..."""
    digits = str(number)
    if len(digits) == 1:
        return "digit"
    if len(set(digits)) == 1:
        return "repeated"
    steps = {int(b) - int(a) for a, b in pairwise(digits)}
    if len(digits) > 2 and steps in ({1}, {-1}):
        return "counting"
    if number % 100 == 0:
        return "hundreds"
    if number % 10 == 0:
        return "tens"
    if 1900 <= number < 2100:
        return "year"
    if len(digits) == 4 and digits[:2] == digits[2:]:
        return "twice"
    if len(digits) > 2 and any(n & (n - 1) == 0 for n in (number - 1, number, number + 1)):
        return "power of two"
    if len(digits) > 2 and digits == digits[::-1]:
        return "mirrored"
    return "even" if number % 2 == 0 else "odd"
