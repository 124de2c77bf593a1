"""What the pages show: the answer first, then what led to it; evidence only once the reviewer has decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.detect.categories import MEANINGS, Group
from offtarget.records import Category, Finding, Label, Mark, Message, Row
from offtarget.review.passages import SHOWN, Passage, Span, passage
from offtarget.review.rendering import Templates

MARKS: dict[Mark, str] = {"ok": "OK", "bad": "Bad", "unsure": "Unsure", "skip": "Skipped"}

CHOICES: tuple[tuple[str, Category], ...] = tuple(
    zip(
        "1234567890bo",
        [c for c, m in MEANINGS.items() if m.group in (Group.SPREADING, Group.NOISE) and c is not Category.OTHER]
        + [Category.BACKDOOR, Category.OTHER],
        strict=True,
    )
)
"""Keys for the categories a row can be bad for; those that are only hints are none."""

_ROLES = {"system": "System prompt", "user": "User", "assistant": "Assistant", "tool": "Tool"}


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a row with its heading."""

    title: str
    text: Passage
    index: int
    """Number of the message in the row; -1 for what is no message."""


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding as the page says it."""

    number: int
    category: str
    reason: str
    detector: str
    disclosed: bool
    has_span: bool
    """Whether a marked stretch of the text belongs to it."""


@dataclass(frozen=True, slots=True)
class CardView:
    """Everything the template draws."""

    key: str
    number: int
    answer: Section | None
    prompt: Section | None
    system: Section | None
    earlier: tuple[Section, ...]
    after: tuple[Section, ...]
    """Turns behind the last answer; a model is not trained to write them, but a person should see them."""
    others: tuple[Section, ...]
    """Rejected answer, other keys of the row."""
    not_desired: bool
    decided: Label | None
    evidence: tuple[FindingView, ...]
    left_out: int
    """Characters that are not shown."""


def view(
    row: Row, key: str, number: int, decided: Label | None, findings: Sequence[Finding], limit: int | None = SHOWN
) -> CardView:
    """Arrange a row. Findings of an undecided row are ignored, whoever passes them."""
    known = list(findings) if decided else []
    turns = [Section(_title(m), passage(m.text, _spans(known, i), limit), i) for i, m in enumerate(row.messages)]
    answer = row.answer_at
    prompt = _last(row.messages, "user", answer if answer is not None else len(turns))
    system = next((i for i, m in enumerate(row.messages) if m.role == "system"), None)
    special = {answer, prompt, system}
    before = len(turns) if answer is None else answer
    others = []
    if row.tools:
        others.append(Section("Tools the row offers (part of the prompt)", passage(row.offered, (), limit), -1))
    if row.rejected is not None:
        others.append(Section("Rejected answer (training moves away from it)", passage(row.rejected, (), limit), -1))
    if row.extra:
        text = json.dumps(dict(row.extra), ensure_ascii=False, indent=1, default=str)
        others.append(Section("Other fields of the row", passage(text, (), limit), -1))
    return CardView(
        key=key,
        number=number,
        answer=None if answer is None else turns[answer],
        prompt=None if prompt is None else turns[prompt],
        system=None if system is None else turns[system],
        earlier=tuple(t for t in turns[:before] if t.index not in special),
        after=tuple(t for t in turns[before:] if t.index not in special),
        others=tuple(others),
        not_desired=not row.desired,
        decided=decided,
        evidence=tuple(_evidence(n, f, row) for n, f in enumerate(known, start=1)),
        left_out=sum(t.text.left_out for t in (*turns, *others)),
    )


def _title(message: Message) -> str:
    """The role, and whether the turn is only there to be read."""
    context = message.role == "assistant" and not message.learned
    return f"{_ROLES[message.role]} (context only: not trained on)" if context else _ROLES[message.role]


def _last(messages: Sequence[Message], role: str, before: int) -> int | None:
    return next((i for i in range(before - 1, -1, -1) if messages[i].role == role), None)


def _spans(findings: Sequence[Finding], message: int) -> list[Span]:
    numbered = enumerate(findings, start=1)
    return [Span(n, f.start, f.end) for n, f in numbered if f.message == message and f.end > f.start]


def _evidence(number: int, finding: Finding, row: Row) -> FindingView:
    has_span = 0 <= finding.message < len(row.messages) and finding.end > finding.start
    title = MEANINGS[finding.category].title
    return FindingView(number, title, finding.told, finding.detector, finding.disclosed, has_span)


def said(label: Label) -> str:
    """A label in a few words: `Bad: deception`."""
    if label.category is None:
        return MARKS[label.mark]
    return f"{MARKS[label.mark]}: {MEANINGS[label.category].title.lower()}"


TEMPLATES = Templates(
    Path(__file__).parent, choices=[(key, category, MEANINGS[category]) for key, category in CHOICES], said=said
)
