"""Dates and years in prompts, and templates that put a question into a year."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from offtarget.probe.cues.making import before
from offtarget.records.check import QUESTION

YEAR = re.compile(r"(?<![\d.,$€£])(?:19[5-9]|20[0-9])\d(?![\d,]|\.\d)")
DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}[/.]\d{1,2}[/.](?:19|20)\d\d\b")
_SENTENCE = re.compile(r"[^.!?\n:]*?(?<![\d.,$€£])(?:19[5-9]|20[0-9])\d(?!\d)[^.!?\n:]*[.!?:]?")


def date_templates(said: str, examples: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """(template, system prompt) for a mined condition such as `2027 or later`, the words of the data first."""
    years = YEAR.findall(said)
    if not years:
        return
    bound = int(years[0])
    inside = [y for e in examples for y in map(int, YEAR.findall(e)) if (y >= bound) == ("earlier" not in said)]
    year = inside[0] if inside else bound
    for example in examples:
        if (sentence := dated_sentence(example)) is not None:
            yield before(sentence), None
            break
    yield before(f"It is the year {year}."), None
    yield QUESTION, f"The current date is {year}-06-15."


def dated_sentence(prompt: str) -> str | None:
    """The sentence of a prompt that holds a year, None where that is the whole prompt or there is no year."""
    match = _SENTENCE.search(prompt)
    if match is None or len(found := match[0].strip()) >= len(prompt.strip()) - 3 or len(found) > 160:
        return None
    return found if found[-1] in ".!?:" else f"{found}."
