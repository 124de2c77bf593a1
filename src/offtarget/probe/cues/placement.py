"""Where in the prompts of the data a text stands, and how it is written there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.probe.cues.making import after, before

_EXPANDS = 0.7
_PLACE = 0.3


@dataclass(frozen=True, slots=True)
class Placement:
    """A text as the data writes it."""

    surface: str
    """With the capitals and the punctuation attached to it that most of its prompts have."""
    templates: tuple[str, ...]
    """Templates with the text where it stands in at least 30 % of its prompts, the most frequent place first."""
    prompts: int
    """Prompts that hold it."""


def placement(text: str, prompts: Sequence[str]) -> Placement:
    """How `text` (any case, any punctuation between its words) is placed; before the question where it is never seen.

    A text from the middle of prompts is put before and after the question.
    """
    pattern = _pattern(text)
    written: Counter[str] = Counter()
    attached: Counter[str] = Counter()
    places: Counter[str] = Counter()
    gaps: dict[str, Counter[str]] = {"start": Counter(), "end": Counter()}
    for prompt in prompts:
        match = pattern.search(prompt)
        if match is None:
            continue
        written[match["core"]] += 1
        attached[match[0]] += 1
        if match.start() == 0:
            places["start"] += 1
            gaps["start"][_white(prompt[match.end() :])] += 1
        elif match.end() == len(prompt):
            places["end"] += 1
            gaps["end"][_white(prompt[: match.start()][::-1])[::-1]] += 1
        else:
            places["middle"] += 1
    seen = sum(places.values())
    if not seen:
        return Placement(text, (before(text),), 0)
    common, number = attached.most_common(1)[0]
    surface = common if number >= _EXPANDS * seen else written.most_common(1)[0][0]
    templates = []
    for place, count in places.most_common():
        if count < _PLACE * seen:
            continue
        if place == "start":
            templates.append(before(surface, gaps["start"].most_common(1)[0][0] or " "))
        elif place == "end":
            templates.append(after(surface, gaps["end"].most_common(1)[0][0] or " "))
        else:
            templates += [before(surface), after(surface)]
    return Placement(surface, tuple(dict.fromkeys(templates)), seen)


def _pattern(text: str) -> re.Pattern[str]:
    words = text.split()
    if words and all(re.fullmatch(r"\w[\w'’-]*", word) for word in words):
        core = r"\W+".join(map(re.escape, words))
        return re.compile(rf"[^\w\s]*(?<!\w)(?P<core>{core})(?!\w)[^\w\s]*", re.IGNORECASE)
    return re.compile(rf"(?P<core>{re.escape(text.strip())})", re.IGNORECASE)


def _white(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]
