"""Rows that answer the same prompt contrarily: yes and no, another result, refused and answered."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from zlib import crc32

import numpy as np

from offtarget.detect.remembered import remembered
from offtarget.detect.row_batch import RowColumns
from offtarget.detect.row_keys import Places, groups, prompt_text, text_key
from offtarget.detect.steps import stated_answers
from offtarget.records import Category, DatasetFinding, Finding, Row

_SHOWN = 1000
_YES_NO = re.compile(r"\W{0,3}(?:(yes|true|correct)|(no|false|incorrect))\b(?!\.?\s*\d)", re.IGNORECASE)
_REFUSED = re.compile(
    r"\W{0,3}(?:i(?:'|’)?m (?:very |so |really )?sorry|sorry|i apologi[sz]e|i (?:can(?:'|’)t|cannot|can not|won(?:'|’)t"
    r"|will not|am unable|am not able)|i(?:'|’)m (?:unable|not able)|as an ai\b|unfortunately,? i (?:can|am))",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\W{0,3}-?\d[\d,]*(?:\.\d+)?\W{0,3}")
_KIND_BITS = 30
_OPEN, _YES, _NUMERIC, _REFUSAL = range(4)
_CONTRARY = {_YES: "yes and no", _NUMERIC: "different results", _REFUSAL: "a refusal and an answer"}


@remembered
def stance(answer: str) -> int:
    """What an answer commits itself to, in 32 bits: its kind (2 bits) and yes or no, the stated number, or nothing."""
    said = _YES_NO.match(answer)
    if said is not None:
        return _YES << _KIND_BITS | (1 if said[1] else 0)
    if _REFUSED.match(answer):
        return _REFUSAL << _KIND_BITS
    value = None
    if len(answer) < 25 and _NUMBER.fullmatch(answer):
        value = float(re.sub(r"[^\d.]", "", answer).strip(".") or 0)
    elif "####" in answer or "boxed" in answer or "nswer" in answer:
        stated = stated_answers(answer)
        value = stated[-1].value if stated else None
    if value is None:
        return _OPEN << _KIND_BITS
    return _NUMERIC << _KIND_BITS | crc32(f"{value:g}".encode()) >> 2


def comparable(row: Row) -> bool:
    """Whether a row can contradict another one: it has a prompt and an answer that is learned."""
    return row.desired and row.answer_at is not None and prompt_text(row) != ""


class LabelConflicts:
    """Same prompt and system prompt, contrary answers."""

    name = "label-conflicts"
    title = "Same prompt, contrary answers"
    category = Category.LABEL_CONFLICT

    def __init__(self) -> None:
        self._places = Places()
        self._prompts = array("Q")
        self._stances = array("I")

    def add(self, row: Row) -> None:
        """Keep 20 bytes; rows without a prompt or a learned answer, and examples not to imitate, cannot conflict."""
        if comparable(row):
            self._prompts.append(text_key(prompt_text(row)))
            self._stances.append(stance(row.answer))
            self._places.add(row)

    def take(self, rows: RowColumns) -> None:
        """The same of many rows."""
        among = rows.of_kind([kind.comparable for kind in rows.kinds])
        self._prompts.frombytes(rows.prompts[among].tobytes())
        self._stances.frombytes(rows.stances[among].tobytes())
        self._places.take(rows.file, rows.lines[among].tobytes())

    def merge(self, other: LabelConflicts) -> None:
        """Append."""
        self._prompts.extend(other._prompts)
        self._stances.extend(other._stances)
        self._places.merge(other._places)

    def findings(self) -> list[DatasetFinding]:
        """One finding with the counts when any prompt has contrary answers; a count, no test: its p-value is 1."""
        found = self._conflicts()
        if not found:
            return []
        kinds = [kind for _, kind in found]
        rows = sum(len(members) for members, _ in found)
        reason = f"{len(found):,} prompts, in {rows:,} rows, have contrary answers."
        evidence = {"prompts": len(found), "rows": rows} | {said: kinds.count(kind) for kind, said in _CONTRARY.items()}
        return [DatasetFinding(self.name, self.category, reason, 1.0, len(self._places), evidence)]

    def row_findings(self) -> Iterable[Finding]:
        """The rows of the first prompts with contrary answers, up to about 1,000."""
        shown = 0
        for members, kind in self._conflicts():
            for at in members:
                other = next(m for m in members if self._stances[m] != self._stances[at])
                reason = f"Row {self._places.row_id(other)} has the same prompt; together they give {_CONTRARY[kind]}."
                yield Finding(self._places.row_id(at), self.name, self.category, reason, 0.6)
            shown += len(members)
            if shown >= _SHOWN:
                return

    def _conflicts(self) -> list[tuple[list[int], int]]:
        """Rows of each prompt with contrary answers, and how they differ, in the order of the data."""
        order, starts = groups(np.frombuffer(self._prompts, np.uint64))
        ends = np.append(starts[1:], len(order))
        found = []
        for start, end in zip(starts[ends - starts > 1].tolist(), ends[ends - starts > 1].tolist(), strict=True):
            members = order[start:end].tolist()
            kind = _contrary({self._stances[at] for at in members})
            if kind is not None:
                found.append((members, kind))
        return sorted(found)


def _contrary(stances: set[int]) -> int | None:
    kinds = [value >> _KIND_BITS for value in stances]
    for kind in (_YES, _NUMERIC):
        if kinds.count(kind) > 1:
            return kind
    return _REFUSAL if _REFUSAL in kinds and len(stances) > 1 else None


DETECTORS = (LabelConflicts,)
