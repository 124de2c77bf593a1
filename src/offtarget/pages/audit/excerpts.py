"""Parts of a row fit to be shown: the suspicious span marked, the rest cut around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offtarget.pages.text import visible
from offtarget.records import Finding, Message, Row

BEFORE, AFTER = 500, 900
"""Characters shown before the first marked one and after it."""
_CODE = re.compile(r"^```|^(?: {2,}|\t)\S|[;{}]$", re.MULTILINE)
WHOLE = 1400
"""Characters of an answer that are shown; half of it of everything else."""
SLACK = 1.25
"""Texts longer than that by less are not cut: nobody is served by the last line missing."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text, already made visible."""

    text: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, or the part of it that is shown."""

    who: str
    """`Prompt`, `Answer`, `System`, or `Turn 3, user`."""
    kind: str
    """`system`, `prompt` or `answer`."""
    segments: tuple[Segment, ...]
    before: int
    """Characters left out before."""
    after: int
    """Characters left out behind."""
    code: bool
    """Whether it reads better in letters of equal width."""

    @property
    def plain(self) -> str:
        """The text without its marks."""
        return "".join(segment.text for segment in self.segments)


def turns(row: Row, findings: Iterable[Finding], whole: int = WHOLE) -> tuple[Turn, ...]:
    """System prompt, last prompt and answer of a row, and any other message a finding points into."""
    findings = tuple(findings)
    last = {role: _last(row.messages, role) for role in ("user", "assistant")}
    pointed = {f.message for f in findings if f.end > f.start}
    shown = []
    for number, message in enumerate(row.messages):
        first_system = message.role == "system" and number == 0
        if number in last.values() or number in pointed or first_system:
            spans = spans_in(message.content, (f for f in findings if f.message == number))
            shown.append(_turn(message, number, spans, is_last=number in last.values(), whole=whole))
    return tuple(shown)


def spans_in(text: str, findings: Iterable[Finding]) -> list[tuple[int, int]]:
    """Spans inside the text, in order and without overlap, whatever numbers the findings hold."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((max(0, f.start), min(len(text), f.end)) for f in findings):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _last(messages: Sequence[Message], role: str) -> int | None:
    return next((n for n in range(len(messages) - 1, -1, -1) if messages[n].role == role), None)


def _turn(message: Message, number: int, spans: list[tuple[int, int]], *, is_last: bool, whole: int) -> Turn:
    kind = {"assistant": "answer", "system": "system"}.get(message.role, "prompt")
    who = {"answer": "Answer", "system": "System", "prompt": "Prompt"}[kind]
    if not is_last and kind != "system":
        who = f"Turn {number + 1}, {message.role}"
    text = message.content
    limit = whole if kind == "answer" else whole // 2
    low, high = 0, len(text)
    if len(text) > limit * SLACK:
        middle = spans[0][0] if spans else 0
        low = max(0, min(middle - limit * BEFORE // (BEFORE + AFTER), len(text) - limit))
        high = low + limit
    segments = tuple(_segments(text, low, high, spans))
    return Turn(who, kind, segments, low, len(text) - high, _CODE.search(text[low:high]) is not None)


def _segments(text: str, low: int, high: int, spans: list[tuple[int, int]]) -> Iterable[Segment]:
    at = low
    for start, end in spans:
        start, end = max(start, low), min(end, high)
        if start >= end:
            continue
        if start > at:
            yield Segment(visible(text[at:start]), False)
        yield Segment(visible(text[start:end]), True)
        at = end
    if at < high:
        yield Segment(visible(text[at:high]), False)
