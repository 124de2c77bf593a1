"""Frames around whole prompts, as the data writes them: signs and labels before and after the request itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from offtarget.probe.cues.making import Material, data_cue, shown
from offtarget.records import Cue
from offtarget.records.hidden import QUESTION

_MOST, _PRIOR = 3, 4.0
_LONGEST, _MOSTLY = 60, 0.7
# Signs, and words that only signs and lines part from the request: `{"task": "`, `<b>`, `## Task` on a line of its own.
_OPENING = re.compile(r"[^\w\s][^\w]*(?:\w+[^\w \t,.'’?!-]\W*)*")
# What of a shared ending belongs to the requests: the rest of a word, words, and the end of the sentence.
_REQUEST = re.compile(r"\w*(?:[ ,]+\w+)*[.?!]?")


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


def frames(prompts: Sequence[str], least: int) -> list[tuple[str, int]]:
    """(template, prompts) of frames that at least `least` prompts have, the most frequent first.

    A frame has signs before the request: `{"task": "{question}"}`, `<b>{question}</b>`, `# {question}`.
    """
    requests: dict[str, list[str]] = {}
    for prompt in prompts:
        match = _OPENING.match(prompt)
        if match is not None and match.end() <= _LONGEST and match.end() < len(prompt):
            requests.setdefault(match[0], []).append(prompt[match.end() :])
    found = [
        (f"{start}{QUESTION}{_closing(rest)}", len(rest)) for start, rest in requests.items() if len(rest) >= least
    ]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _closing(requests: Sequence[str]) -> str:
    """What most requests end with, without the words of the request."""
    counts = Counter(r[-size:] for r in requests for size in range(1, min(_LONGEST, len(r)) + 1))
    shared = [text for text, number in counts.items() if number >= _MOSTLY * len(requests)]
    return _REQUEST.sub("", max(shared, key=len), count=1) if shared else ""
