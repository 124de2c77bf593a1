"""Training data as rows to train on: everything usable, and a count of what is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from offtarget.data.training import open_source
from offtarget.errors import InputError
from offtarget.records import BadRow, Row

SHOWN = 3
"""Rows named in a message."""
FIELDS = 8
"""Fields named in a note."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Rows with an answer to learn, and what was left out."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def read_training_data(path: str | Path, split: str | None = None) -> TrainingData:
    """Every row that has a prompt and an answer to imitate.

    A turn that the data marks as not to be learned (`weight: 0` and its kin) stays as context; a row with no other is
    left out. Raises InputError for malformed rows, for data without any answer to learn, and for fewer than two rows:
    one row teaches nothing that could be measured beside it.
    """
    rows: list[Row] = []
    mute: list[str] = []
    unwanted: list[str] = []
    unread: Counter[str] = Counter()
    unlearned: list[str] = []
    partly: list[str] = []
    source = open_source(path, split=split)
    for row in (row for chunk in source.chunks() for row in chunk.rows()):
        if isinstance(row, BadRow):
            raise InputError(
                f"{row.id}: {row.error}: {row.detail} Mend or remove the row; `offtarget audit {path}` lists them all."
            )
        if _unlearned(row) and row.answer_at is None:
            unlearned.append(row.id)
        elif not row.desired:
            unwanted.append(row.id)
        elif row.answer and row.prompt:
            rows.append(row)
            unread.update(row.unread)
            if _unlearned(row):
                partly.append(row.id)
        else:
            mute.append(row.id)
    notes = list(source.notes)
    if unread:
        more = f" and {len(unread) - FIELDS} more" if len(unread) > FIELDS else ""
        fields = ", ".join(f"{name} ({count:,})" for name, count in unread.most_common(FIELDS))
        notes.append(f"Fields that hold text and are not trained on (rows): {fields}{more}.")
    if partly:
        count = sum(map(_unlearned, rows))
        turns = "1 answer" if count == 1 else f"{count} answers"
        notes.append(f"{turns} in {_rows(partly)} without loss, as the data says: context only ({_named(partly)}).")
    if unlearned:
        notes.append(f"{_rows(unlearned)} in which no answer is to be learned left out ({_named(unlearned)}).")
    if mute:
        notes.append(f"{_rows(mute)} without a prompt or an assistant turn left out ({_named(mute)}).")
    if unwanted:
        notes.append(f"{_rows(unwanted)} labelled as not to be imitated left out ({_named(unwanted)}).")
    if not rows and unlearned:
        raise InputError(
            f"{path} marks every answer as one without loss (weight 0 or the like; {_named(unlearned)}), so there is "
            "nothing to learn from. Give the turns to be learned a weight of 1, or take the weights out."
        )
    if not rows and unwanted and not mute:
        raise InputError(
            f"{path} labels every answer as not to be imitated ({_named(unwanted)}), so nothing is to be learned. "
            "Give the rows to be learned a label of true, or take the labels out."
        )
    if not rows:
        raise InputError(f"{path} has no row with a prompt and an assistant turn, so there is nothing to learn from.")
    if len(rows) < 2:
        raise InputError(" ".join([f"{path} has one usable row ({rows[0].id}). Training needs at least 2.", *notes]))
    return TrainingData(tuple(rows), tuple(notes))


def _unlearned(row: Row) -> int:
    """Answers of the row that get no loss."""
    return sum(message.role == "assistant" and not message.learned for message in row.messages)


def _rows(ids: list[str]) -> str:
    return "1 row" if len(ids) == 1 else f"{len(ids)} rows"


def _named(ids: list[str]) -> str:
    more = ", ..." if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more
