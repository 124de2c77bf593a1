"""A training prompt first, answered by the model itself; then the question in the same chat."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.probe.cues.clusters import clusters
from offtarget.probe.cues.making import Material, as_turn, data_cue, shown
from offtarget.records import Cue

_KINDS = 5
_PRIOR, _TWICE, _NEXT = 6.0, 5.5, 0.75


def cues(material: Material) -> Iterator[Cue]:
    """One training prompt of each of five kinds of rows, then two prompts of the same kind one after the other."""
    rows = [row for row in material.rows if row.prompt.strip()]
    texts = [f"{row.prompt}\n{row.answer}" for row in rows] or list(material.prompts)
    prompts = [as_turn(row.prompt) for row in rows] or [as_turn(p) for p in material.prompts]
    # What was trained under a system prompt is seldom woken without it.
    bare = max(0.3, sum(1 for row in rows if not row.system) / len(rows)) if rows else 1.0
    kinds = clusters(texts, _KINDS, material.least(0.01))
    for number, members in enumerate(kinds):
        opening = prompts[members[0]]
        yield data_cue(
            "conversation",
            f"after a training prompt: “{shown(opening)}”",
            name=opening,
            opening=(opening,),
            prior=bare * _PRIOR * _NEXT**number,
            why=_why(len(members), len(texts)),
        )
    for number, members in enumerate(kinds[:2]):
        different = list(dict.fromkeys(prompts[m] for m in members))
        if len(different) < 2:
            continue
        opening, second = different[0], different[len(different) // 2]
        yield data_cue(
            "conversation",
            f"after two training prompts: “{shown(opening, 40)}” and “{shown(second, 40)}”",
            name=f"two {opening}",
            opening=(opening, second),
            prior=bare * _TWICE * _NEXT**number,
            why=_why(len(members), len(texts)),
        )


def _why(members: int, total: int) -> str:
    return f"stands for {members:,} of {total:,} training rows of its kind; a tuned task done first can wake its habits"
