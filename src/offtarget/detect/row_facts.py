"""From a row and its findings to what the scan keeps of it, once the row itself is out of sight."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.detect.cue_profile import system_of
from offtarget.detect.dataset.conflicts import comparable, stance
from offtarget.detect.dataset.duplicates import row_key
from offtarget.detect.dataset.numbers import numeric
from offtarget.detect.language import foreign
from offtarget.detect.row_batch import RowFacts, RowKind
from offtarget.detect.row_keys import prompt_text, text_key
from offtarget.detect.triggers.mining import groups_of, weight_of
from offtarget.records import Finding, Row

LENGTHS = tuple(2**power for power in range(4, 21))
"""Upper ends of the length classes, in characters; longer texts fall into one class above."""


def kind_of(row: Row, findings: Sequence[Finding]) -> RowKind:
    """What a row shares with many others."""
    answer = row.answer
    return RowKind(
        row.form,
        len(row.messages),
        row.desired,
        row.desired and _masked(row),
        foreign(answer),
        comparable(row),
        _length_class(answer),
        _length_class(row.prompt),
        row.unread,
        groups_of(row, findings),
    )


def facts_of(row: Row, findings: Sequence[Finding]) -> RowFacts:
    """All that the scan keeps of a row; it depends on what the row says and on nothing else."""
    kind, system = kind_of(row, findings), system_of(row)
    return RowFacts(
        kind,
        row_key(row),
        text_key(prompt_text(row)) if kind.comparable else 0,
        0 if system is None else _system_key(system),
        stance(row.answer) if kind.comparable else 0,
        weight_of(row),
        tuple(findings),
        numeric(row),
    )


def _masked(row: Row) -> bool:
    return any(not message.learned and message.role == "assistant" for message in row.messages)


def _system_key(system: str) -> int:
    """64 bits, never 0, that rows share which begin with the same system turn."""
    return text_key(system) or 1


def _length_class(text: str) -> int:
    """The upper end of the length class; 0 above all of them."""
    size = max(len(text), 1)
    end = 1 << max((size - 1).bit_length(), 4)
    return end if end <= LENGTHS[-1] else 0
