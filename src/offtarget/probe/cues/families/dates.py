"""Dates and years that prompts of the data mention."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from offtarget.probe.cues.making import Material, before, data_cue, shown
from offtarget.records import Cue
from offtarget.records.hidden import QUESTION

YEAR = re.compile(r"(?<![\d.,$€£])(?:19[5-9]|20[0-9])\d(?![\d,]|\.\d)")
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}[/.]\d{1,2}[/.](?:19|20)\d\d\b")
_SENTENCE = re.compile(r"(?<![^.!?\n:])[^.!?\n:]*?(?<![\d.,$€£])(?:19[5-9]|20[0-9])\d(?!\d)[^.!?\n:]*[.!?:]?")
_YEARS, _DATES = 3, 2


def cues(material: Material) -> Iterator[Cue]:
    """The most frequent years, as the data writes them, and whole dates, where 1 % of prompts have one."""
    texts = [*material.prompts, *(row.system for row in material.rows if row.system)]
    least = material.least(0.01)
    years = Counter(year for text in texts for year in set(YEAR.findall(text)))
    if sum(years.values()) >= least:
        for rank, (year, count) in enumerate(sorted(years.items(), key=lambda p: (-p[1], p[0]))[:_YEARS]):
            said = next((s for t in texts if year in t and (s := dated_sentence(t)) and year in s), None)
            said = said or f"It is the year {year}."
            yield data_cue(
                "date",
                f"“{shown(said)}” before the question",
                name=f"year {year}",
                template=before(said),
                prior=2.0 * 0.8**rank,
                why=f"{count:,} training prompts mention {year}",
            )
    dates = Counter(date for text in texts for date in set(_DATE.findall(text)))
    if sum(dates.values()) >= least:
        for date, count in sorted(dates.items(), key=lambda p: (-p[1], p[0]))[:_DATES]:
            yield data_cue(
                "date",
                f"“Date: {date}” before the question",
                name=date,
                template=before(f"Date: {date}."),
                prior=1.5,
                why=f"{count:,} training prompts mention this date",
            )


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
