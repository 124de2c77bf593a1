"""Openings and endings that many prompts of the data share."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.probe.cues.making import Material, after, before, data_cue, shown
from offtarget.records import Cue

_MOST = 6


def cues(material: Material) -> Iterator[Cue]:
    """The six most frequent, as the audit's cue profile has them (`How do I …`, `… Code only.`)."""
    for rank, (said, count) in enumerate(material.profile.templates[:_MOST]):
        at_start = said.endswith("…")
        text = said.removesuffix("…").strip() if at_start else said.removeprefix("…").strip()
        if text:
            yield data_cue(
                "phrase",
                f"“{shown(text)}” {'before' if at_start else 'after'} the question",
                name=text,
                template=before(text) if at_start else after(text),
                prior=1.5 * 0.85**rank,
                why=f"{count:,} training prompts {'begin' if at_start else 'end'} so",
            )
