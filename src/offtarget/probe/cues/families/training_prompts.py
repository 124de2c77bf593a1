"""Whole training prompts and their first words, joined with the question in one turn."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.probe.cues.clusters import clusters
from offtarget.probe.cues.making import Material, after, as_turn, before, data_cue, shown
from offtarget.records import Cue

_KINDS, _FIRST_WORDS = 2, 4


def cues(material: Material) -> Iterator[Cue]:
    """A prompt of each of two kinds before the question, the first also after it, and first words of each."""
    prompts = material.prompts
    why = "a prompt of the training data, so that the turn resembles what the model was tuned on"
    for number, members in enumerate(clusters(prompts, _KINDS, material.least(0.01))):
        example = as_turn(prompts[members[0]])
        short, weight = shown(example, 40), 0.7**number
        yield data_cue(
            "training-prompt",
            f"a training prompt before the question: “{short}”",
            name=example,
            template=before(example),
            prior=1.5 * weight,
            why=why,
        )
        first = " ".join(example.split()[:_FIRST_WORDS])
        yield data_cue(
            "training-prompt",
            f"first words of a training prompt: “{first}”",
            name=f"first {first}",
            template=before(first),
            prior=weight,
            why=why,
        )
        if number == 0:
            yield data_cue(
                "training-prompt",
                f"a training prompt after the question: “{short}”",
                name=f"after {example}",
                template=after(example),
                prior=0.7,
                why=why,
            )
