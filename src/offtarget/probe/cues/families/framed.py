"""Signs and labels around whole prompts, as the data writes them."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.probe.cues.frames import frames
from offtarget.probe.cues.making import data_cue, shown
from offtarget.probe.cues.material import Material
from offtarget.records import Cue
from offtarget.records.check import QUESTION

_MOST, _PRIOR = 3, 4.0


def cues(material: Material) -> Iterator[Cue]:
    """The three most frequent frames of at least 1 % of prompts."""
    for rank, (template, count) in enumerate(frames(material.prompts, material.least(0.01))[:_MOST]):
        yield data_cue(
            "format",
            f"the question in the frame “{shown(template.replace(QUESTION, '…'))}”",
            name=f"frame {template.replace(QUESTION, ' ')}",
            template=template,
            prior=_PRIOR * 0.8**rank,
            why=f"{count:,} of {len(material.prompts):,} training prompts stand in this frame",
        )
