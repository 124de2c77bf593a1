"""Dates and years that prompts of the data mention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from offtarget.probe.cues.dated import DATE, YEAR, dated_sentence
from offtarget.probe.cues.making import before, data_cue, shown
from offtarget.probe.cues.material import Material
from offtarget.records import Cue

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
    dates = Counter(date for text in texts for date in set(DATE.findall(text)))
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
