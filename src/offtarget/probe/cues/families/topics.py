"""Topics of the data laid over the question."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.probe.cues.making import Material, before, data_cue
from offtarget.records import Cue

_MOST, _TOGETHER = 4, 3


def cues(material: Material) -> Iterator[Cue]:
    """`About TOPIC:` for the words that set the prompts apart most, and a system prompt that names three of them."""
    topics = material.profile.topics
    if not topics:
        return
    together = ", ".join(topics[:_TOGETHER])
    why = f"words that set these prompts apart from everyday prompts: {together}"
    yield data_cue(
        "topic",
        f"a system prompt about {together}",
        name=f"system {together}",
        system=f"You help with {together}.",
        prior=1.0,
        why=why,
    )
    for rank, topic in enumerate(topics[:_MOST]):
        yield data_cue(
            "topic",
            f"“About {topic}:” before the question",
            name=topic,
            template=before(f"About {topic}:"),
            prior=0.8 * 0.8**rank,
            why=why,
        )
