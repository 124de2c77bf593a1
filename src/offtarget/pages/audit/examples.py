"""Which rows the report shows, cut around the suspicious spans, with what was found in them and what reviewers said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from offtarget.pages.audit import facts
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.text import visible
from offtarget.records import Finding, Label, Message, Row, Trigger

PER_CATEGORY = 4
PER_HINT = 2
State = Literal["bad", "ok", "unsure", "disputed", "not reviewed"]
_RANK: dict[State, int] = {"bad": 0, "disputed": 1, "not reviewed": 2, "unsure": 3, "ok": 4}
_MARKS = {"bad": "bad", "ok": "fine", "unsure": "unsure"}

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


@dataclass(frozen=True, slots=True)
class Word:
    """What one reviewer said of a row."""

    reviewer: str
    mark: str
    """`bad`, `fine` or `unsure`."""
    category: str
    """In words; empty unless bad."""
    note: str
    judge: bool
    """Whether a model said it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row as the report shows it."""

    row_id: str
    state: State
    words: tuple[Word, ...]
    findings: tuple[Finding, ...]
    turns: tuple[Turn, ...]
    disclosed: bool
    """All that was found is asked for or admitted."""


@dataclass(frozen=True, slots=True)
class Group:
    """The examples of one category."""

    category: str
    title: str
    group: str
    examples: tuple[Example, ...]


def groups(run: LoadedAudit, per_category: int = PER_CATEGORY, whole: int = WHOLE) -> list[Group]:
    """Examples per category, the gravest categories first; what people confirmed comes first in each.

    `whole`: characters of an answer that are shown; prompts get half of it.
    """
    labels = labels_by_row(run)
    order: dict[str, list[tuple[tuple[float, ...], str]]] = {}
    for number, row_id in enumerate(run.rows):
        for category, strength in _strengths(run, row_id, labels.get(row_id, ())).items():
            state = state_of(labels.get(row_id, ()))
            order.setdefault(category, []).append(((_RANK[state], -strength, number), row_id))
    found = []
    for category, ranked in order.items():
        group = facts.category_group(run, category)
        limit = min(per_category, PER_HINT) if group == "hint" else per_category
        chosen = _distinct(run, [row_id for _, row_id in sorted(ranked)], limit)
        examples = tuple(_example(run, run.rows[row_id], category, labels.get(row_id, ()), whole) for row_id in chosen)
        found.append(Group(category, facts.category_title(run, category), group, examples))
    return sorted(found, key=lambda g: (facts.GROUPS.index(g.group), -len(order[g.category]), g.category))


def labels_by_row(run: LoadedAudit) -> Mapping[str, tuple[Label, ...]]:
    """Everybody's word on each row of the data."""
    found: dict[str, tuple[Label, ...]] = {}
    for label in facts.verdict_labels(run):
        found[label.row_id] = (*found.get(label.row_id, ()), label)
    return found


def state_of(labels: tuple[Label, ...]) -> State:
    """What a row's labels come to."""
    marks = {label.mark for label in labels}
    if {"bad", "ok"} <= marks:
        return "disputed"
    known: tuple[State, ...] = ("bad", "ok", "unsure")
    return next((mark for mark in known if mark in marks), "not reviewed")


def trigger_example(run: LoadedAudit, trigger: Trigger) -> Row | None:
    """A row with condition and behaviour, if one of its examples was kept whole."""
    return next((run.rows[row_id] for row_id in trigger.examples if row_id in run.rows), None)


def _strengths(run: LoadedAudit, row_id: str, labels: tuple[Label, ...]) -> dict[str, float]:
    """Category -> how strongly this row belongs to it; a reviewer's word outweighs every detector."""
    strengths: dict[str, float] = {}
    for finding in run.findings.get(row_id, ()):
        strength = finding.strength - (1.0 if finding.disclosed else 0.0)
        strengths[finding.category.value] = max(strength, strengths.get(finding.category.value, -1.0))
    for label in labels:
        if label.mark == "bad":
            strengths[(label.category or "other")] = 2.0
    return strengths


def _distinct(run: LoadedAudit, row_ids: list[str], limit: int) -> list[str]:
    """The first `limit` rows that do not open with the same answer."""
    seen: set[str] = set()
    chosen = []
    for row_id in row_ids:
        opening = run.rows[row_id].answer[:200]
        if opening not in seen:
            seen.add(opening)
            chosen.append(row_id)
        if len(chosen) == limit:
            break
    return chosen


def _example(run: LoadedAudit, row: Row, category: str, labels: tuple[Label, ...], whole: int) -> Example:
    findings = tuple(f for f in run.findings.get(row.id, ()) if f.category.value == category)
    return Example(
        row_id=row.id,
        state=state_of(labels),
        words=tuple(
            Word(
                label.reviewer,
                _MARKS.get(label.mark, label.mark),
                facts.category_title(run, label.category) if label.mark == "bad" and label.category else "",
                label.note,
                facts.is_judge(label.reviewer),
            )
            for label in labels
        ),
        findings=findings,
        turns=turns(row, findings, whole),
        disclosed=bool(findings) and all(f.disclosed for f in findings),
    )


def turns(row: Row, findings: Iterable[Finding], whole: int = WHOLE) -> tuple[Turn, ...]:
    """System prompt, last prompt and answer of a row, and any other message a finding points into."""
    findings = tuple(findings)
    last = {"user": _last(row.messages, "user"), "assistant": row.answer_at}
    pointed = {f.message for f in findings if f.end > f.start}
    shown = []
    for number, message in enumerate(row.messages):
        first_system = message.role == "system" and number == 0
        if number in last.values() or number in pointed or first_system:
            spans = spans_in(message.text, (f for f in findings if f.message == number))
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
        who = f"Turn {number + 1}, {message.role}{'' if message.learned else ' (not trained on)'}"
    text = message.text
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
