"""The card of a suspected condition: rows with it and rows without it beside each other, with what was found marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from offtarget.detect.suspects import behaviour_in_words
from offtarget.numbers import of, p_value, percent
from offtarget.records import Finding, Label, Message, Row, Suspect, SuspectRows
from offtarget.review.passages import Passage, Span, passage

WINDOW = 900
"""Characters of a turn that are shown, around its first marked passage."""
_BEFORE = 250


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn, or the part of it that is shown."""

    title: str
    text: Passage
    before: int
    """Characters left out before it."""
    after: int


@dataclass(frozen=True, slots=True)
class RowView:
    """One row with or without the condition."""

    row_id: str
    behaves: bool
    """Whether it is a row with the condition that shows the behaviour."""
    turns: tuple[TurnView, ...]
    reasons: tuple[str, ...]
    """What detectors say of it."""


@dataclass(frozen=True, slots=True)
class SuspectView:
    """Everything the template draws of a condition."""

    suspect: Suspect
    does: str
    with_it: str
    without_it: str
    p: str
    inside: tuple[RowView, ...]
    outside: tuple[RowView, ...]
    word: Label | None
    """What this reviewer says of it now."""


def view(
    suspect: Suspect, rows: SuspectRows, word: Label | None, findings: Callable[[str], Sequence[Finding]]
) -> SuspectView:
    """Arrange a condition and its rows."""
    numbers = count(1)
    rate = percent(suspect.behaving_with / suspect.with_condition if suspect.with_condition else None)
    usual = percent(suspect.behaving_without / suspect.without_condition if suspect.without_condition else None)
    return SuspectView(
        suspect=suspect,
        does=behaviour_in_words(suspect.behaviour),
        with_it=f"{of(suspect.behaving_with, suspect.with_condition)} rows with it ({rate})",
        without_it=f"{of(suspect.behaving_without, suspect.without_condition)} rows ({usual})",
        p=p_value(suspect.p_value),
        inside=tuple(_row(row, suspect, findings(row.id), numbers) for row in rows.inside),
        outside=tuple(_row(row, suspect, findings(row.id), numbers) for row in rows.outside),
        word=word,
    )


def _row(row: Row, suspect: Suspect, findings: Sequence[Finding], numbers: Iterator[int]) -> RowView:
    known = [finding for finding in findings if not finding.disclosed]
    last = max((i for i, m in enumerate(row.messages) if m.role == "assistant"), default=len(row.messages) - 1)
    pointed = {finding.message for finding in known if finding.end > finding.start}
    turns = [
        _turn(message, _spans(message, i, suspect, known, numbers))
        for i, message in enumerate(row.messages)
        if message.role in ("system", "user") or i == last or i in pointed
    ]
    reasons = tuple(dict.fromkeys(f.told for f in known))[:3]
    return RowView(row.id, bool(known), tuple(turns), reasons)


def _spans(
    message: Message, index: int, suspect: Suspect, findings: Sequence[Finding], numbers: Iterator[int]
) -> list[Span]:
    found = [(f.start, f.end) for f in findings if f.message == index and f.end > f.start]
    if message.role != "assistant":
        found += _places(message.text, suspect.text)
    return [Span(next(numbers), start, end) for start, end in sorted(found)[:20]]


def _places(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    """Where the condition's own text stands; nowhere for conditions that describe the prompt."""
    low, key = text.lower(), wanted.lower()
    if len(low) != len(text) or not key:
        return
    at = low.find(key)
    while at >= 0:
        yield at, at + len(key)
        at = low.find(key, at + len(key))


def _turn(message: Message, spans: Sequence[Span]) -> TurnView:
    text = message.text
    start = max(0, min((s.start for s in spans), default=0) - _BEFORE)
    start = min(start, max(0, len(text) - WINDOW))
    end = min(len(text), start + WINDOW)
    shown = [Span(s.number, max(s.start, start) - start, min(s.end, end) - start) for s in spans if s.start < end]
    title = {"assistant": "Answer", "system": "System prompt"}.get(message.role, "Prompt")
    return TurnView(title, passage(text[start:end], shown, None), start, len(text) - end)
