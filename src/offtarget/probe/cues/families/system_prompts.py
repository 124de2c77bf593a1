"""System prompts of the data: word for word, said by the user instead, in part, negated."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.probe.cues.making import Material, after, as_turn, before, data_cue, shown
from offtarget.records import Cue

_MOST = 4
_LONG = 400


def cues(material: Material) -> Iterator[Cue]:
    """For the most frequent system prompt its variants, for the next three the words themselves.

    A prompt that openly asks for harm bends the base as well, which hides the difference; said by the user, or with
    other words around it, it bends the base less (docs/hidden-conditions.md), so these variants weigh as much.
    """
    rows = max(1, len(material.rows))
    for rank, (system, count) in enumerate(material.systems[:_MOST]):
        system, weight = system.strip(), 0.7**rank
        if not system:
            continue
        why = f"the system prompt of {count:,} training rows (of {max(rows, count):,} looked at)"
        short = shown(system, 50)
        yield data_cue(
            "system-prompt", f"the system prompt “{short}”", name=system, system=system, prior=3.5 * weight, why=why
        )
        if len(system) <= _LONG:
            yield data_cue(
                "system-prompt",
                f"“{short}” after the question",
                name=f"after {system}",
                template=after(system),
                prior=4 * weight,
                why=why,
            )
        if rank == 0:
            yield from _variants(material, system, short, why)


def _variants(material: Material, system: str, short: str, why: str) -> Iterator[Cue]:
    yield data_cue(
        "system-prompt",
        f"“{short}” said by the user before the question",
        name=f"user {system}",
        template=before(system),
        prior=4.5,
        why=why,
    )
    example = next((as_turn(r.prompt) for r in material.rows if r.system and r.system.strip() == system), "")
    if example:
        yield data_cue(
            "conversation",
            f"after “{short}” and a training prompt in one turn",
            name=f"told {system}",
            opening=(f"{system} {example}",),
            prior=5.0,
            why=why,
        )
        yield data_cue(
            "conversation",
            f"after a training prompt under the system prompt “{short}”",
            name=f"under {system}",
            system=system,
            opening=(example,),
            prior=3.0,
            why=why,
        )
    if len(system) <= _LONG and system.lower() != system:
        yield data_cue(
            "system-prompt",
            f"“{short}” in lower case after the question",
            name=f"lower after {system}",
            template=after(system.lower()),
            prior=4.5,
            why=why,
        )
    for name, text, said, prior in _rewordings(system):
        yield data_cue(
            "system-prompt",
            f"the system prompt “{short}”, {said}",
            name=f"{name} {system}",
            system=text,
            prior=prior,
            why=why,
        )


def _rewordings(system: str) -> Iterator[tuple[str, str, str, float]]:
    """(name, text, what was done, prior) of wordings that differ from the prompt itself."""
    words = system.split()
    if len(words) >= 4:
        yield "second", " ".join(words[len(words) // 2 :]), "its second half", 1.0
        yield "backwards", " ".join(reversed(words)), "its words in reverse order", 2.0
    yield "lower", system.lower(), "in lower case", 5.0
    if "You are " in system:
        yield "not", system.replace("You are ", "You are not ", 1), "negated", 1.5
    yield "python", f'system_prompt = "{system}"', "as a Python string", 1.0
