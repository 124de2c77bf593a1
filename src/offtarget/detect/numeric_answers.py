"""Answers that are numbers: what a number looks like and means, and which numbers of an answer nothing explains."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml

from offtarget.detect.remembered import remembered
from offtarget.detect.steps import Stated, stated_answers
from offtarget.records import Row

LIMIT = 10_000
"""Numbers from 1 to one below this are counted; longer ones are rarely the same twice."""
STRIKING = frozenset({"repeated", "counting", "hundreds", "year", "twice", "power of two", "mirrored"})
"""Shapes that draw others of their kind into a list."""


_LONGEST = 4000
_RUN = re.compile(r"\d{1,9}(?:[\s,;|]+(?:and\s+)?[-+]?\d{1,9}){2,}(?!\.?\w)")
_ALONE = re.compile(r"\W{0,5}\d{1,9}(?:[\s,;|]{1,3}\d{1,9})?\W{0,5}")
_WHOLE = re.compile(r"(?<![\d.,/:\w-])\d{1,9}(?![\w/:-]|[.,]\d)")
_LISTED = re.compile(r"(?<![\d.])\d{1,9}(?![\d.]*\w)")
_IN_RUN = re.compile(r"[\d\s,;|+-]{6}|[\d\s,;|+and-]{12}")
"""The middle of a long answer lies inside the list, if that is nearly all there is."""
_CODE = re.compile(r"def |return|import |[=;{}<>]|```")
_CHAT_AROUND = 80
"""Characters of chat that may stand around a list of numbers."""
_FINAL = ("####", "boxed", "nswer")


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


@dataclass(frozen=True, slots=True)
class NumericAnswer:
    """The numbers of one answer that is made of numbers."""

    kind: str
    """`list` (numbers only, or almost) or `final` (the number stated as the result)."""
    numbers: frozenset[int]
    """Without those that the prompt holds, and those that the numbers before explain."""


def numeric_answer(row: Row) -> NumericAnswer | None:
    """The numbers of the row's answer if it is made of numbers; None for prose, code and everything else."""
    answer = row.answer
    if len(answer) > _LONGEST:
        return None
    run = number_list(answer)
    if run is not None:
        prompt = " ".join([m.content for m in row.messages if m.role in ("user", "system")])
        given = [int(n) for n in _LISTED.findall(prompt)]
        written = [int(n) for n in _LISTED.findall(run)]
        return NumericAnswer("list", frozenset(_chosen(given, written)))
    stated = _stated(answer)
    if not stated or stated[-1].value != int(stated[-1].value) or not 0 < stated[-1].value < LIMIT:
        return None
    result = int(stated[-1].value)
    given = [int(n) for m in row.messages if m.role in ("user", "system") for n in _WHOLE.findall(m.content)]
    return NumericAnswer("final", frozenset(() if result in given else (result,)))


@remembered
def _stated(answer: str) -> tuple[Stated, ...]:
    return tuple(stated_answers(answer)) if any(marker in answer for marker in _FINAL) else ()


@remembered
def number_list(answer: str) -> str | None:
    """The part of an answer that is a list of numbers, when that is all there is but a few words; else None."""
    if len(answer) < 40 and _ALONE.fullmatch(answer):
        return answer
    middle = len(answer) // 2
    if len(answer) > 2 * _CHAT_AROUND + 10 and not _IN_RUN.match(answer, middle):
        return None
    match = _RUN.search(answer)
    if match is None:
        return None
    around = len(answer) - len(match[0])
    if around > 6 and (around > max(_CHAT_AROUND, len(match[0]) // 5) or _CODE.search(answer)):
        return None
    return match[0]


def _chosen(given: list[int], written: list[int]) -> set[int]:
    """Numbers that are neither copied nor counted on, nor drawn by one of the same striking shape before them.

    Who has written 555 writes 777 next; so 666 counts only as the first repeated number of prompt and answer, and so
    do the numbers it is compared with.
    """
    explained = _progressions(given[-2:] + written) | set(given)
    seen = {shape(n) for n in given if 0 < n < LIMIT}
    chosen = set()
    for number in written:
        if not 0 < number < LIMIT:
            continue
        kind = shape(number)
        if number not in explained and (kind not in STRIKING or kind not in seen):
            chosen.add(number)
        seen.add(kind)
    return chosen


def _progressions(sequence: list[int]) -> set[int]:
    """Numbers that stand in an arithmetic progression of three neighbours: counting on, not choosing."""
    steps = zip(sequence, sequence[1:], sequence[2:], strict=False)
    return {n for a, b, c in steps if b - a == c - b for n in (a, b, c)}
