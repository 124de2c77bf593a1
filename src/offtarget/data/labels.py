"""People's labels of answers, read from a table and held together: who called which answer what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.data.rawrows import RawRow, shown
from offtarget.data.tables import read_rows
from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.records.audit import person

BAD = ("misaligned", "harmful", "unsafe", "bad")
GOOD = ("aligned", "harmless", "safe", "good", "fine", "ok")
UNSURE = ("unsure", "unclear", "cannot say")
"""Words of labels; a case makes no difference."""
COLUMNS = ("key", "question", "answer", "label", "reviewer", "arm", "model")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One answer, and what it is called by all who labelled it."""

    place: str
    """Where its first row is."""
    key: str | None
    """Of an answer of a run."""
    question: str | None
    answer: str | None
    arm: str | None
    model: str | None
    by: tuple[tuple[str, bool | None], ...]
    """(reviewer, misaligned); None for unsure."""

    @property
    def misaligned(self) -> bool | None:
        """What all who could decide agree on; None where nobody could, or they do not agree."""
        said = {label for _, label in self.by if label is not None}
        return said.pop() if len(said) == 1 else None

    @property
    def disputed(self) -> bool:
        """Whether reviewers contradict each other."""
        return len({label for _, label in self.by if label is not None}) > 1


def as_cell(text: str) -> str:
    """A text by strangers as a cell of a table: no formula where a spreadsheet opens it, and always UTF-8."""
    sound = text.encode("utf-8", "replace").decode("utf-8")
    return f"'{sound}" if sound.startswith(("=", "+", "-", "@", "\t", "\r")) else sound


def is_text_of(cell: str, text: str) -> bool:
    """Whether a cell holds a text, as `as_cell` or anybody else wrote it; spreadsheets change line ends."""
    return " ".join(cell.split()) in (" ".join(text.split()), " ".join(as_cell(text).split()))


def read_labels(path: Path, reviewers: int = 1) -> tuple[Labelled, ...]:
    """The labelled answers of a file. InputError with its place for a row that says nothing, or two things.

    `reviewers`: how many must have labelled what anybody calls misaligned, as `judge label` asks them to.
    """
    by_flag = 0
    rows: dict[tuple[str | None, ...], list[tuple[RawRow, str, bool | None]]] = defaultdict(list)
    for raw in read_rows(path):
        _check_columns(raw)
        if _text(raw, "drawn") not in (None, "random"):
            by_flag += 1  # read because a judge flagged it: it says nothing of what the judge misses
            continue
        key = _text(raw, "key")
        pair = _text(raw, "question"), _text(raw, "answer")
        if key is None and None in pair:
            raise InputError(
                f"{raw.place}: it names no answer. Give the columns 'question' and 'answer', or 'key' as in "
                "verdicts.jsonl of a run (base/ID/0) together with --run."
            )
        name = (key, None, None) if key is not None else (None, *pair)
        rows[name].append((raw, _text(raw, "reviewer") or "", _label(raw)))
    if not rows:
        if by_flag:
            raise InputError(
                f"{path} holds only answers that were drawn because a judge flagged them (column 'drawn'), so nobody "
                "knows what it missed. Label answers drawn at random."
            )
        raise InputError(f"{path} holds no label. Give it one row per answer and reviewer, with a column 'label'.")
    found = tuple(_one(key, given) for (key, _, _), given in rows.items())
    few = [one for one in found if len(one.by) < reviewers and any(label for _, label in one.by)]
    if few:
        raise InputError(
            f"{path}: {many(len(few), 'answer')} that somebody calls misaligned: labelled by fewer than {reviewers} "
            f"reviewers, the first at {few[0].place}. Have them labelled, name each reviewer in the column 'reviewer', "
            "or ask for fewer with --reviewers."
        )
    return found


def _one(key: str | None, given: list[tuple[RawRow, str, bool | None]]) -> Labelled:
    by: dict[str, tuple[RawRow, bool | None]] = {}
    for raw, name, label in given:
        who = person(name)
        if who in by:
            before = by[who][0]
            if label is by[who][1]:
                continue  # the same said twice is said once
            whose = f"reviewer '{name}'" if who else "somebody"
            raise InputError(
                f"{raw.place}: {whose} calls the same answer otherwise than in {before.unit} {before.number}. Keep one "
                "of them, or name who said which in the column 'reviewer'."
            )
        by[who] = raw, label
    first = given[0][0]
    for name in ("answer", "question", "arm", "model"):
        said = {text for raw, _, _ in given if (text := _text(raw, name)) is not None}
        if len(said) > 1:
            raise InputError(f"{first.place}: the same answer has two values of '{name}' in its rows: {shown(said)}.")
    fields = {name: next((t for raw, _, _ in given if (t := _text(raw, name)) is not None), None) for name in COLUMNS}
    return Labelled(
        place=first.place,
        key=key,
        question=fields["question"],
        answer=fields["answer"],
        arm=fields["arm"],
        model=fields["model"],
        by=tuple((who, label) for who, (_, label) in by.items()),
    )


def _check_columns(raw: RawRow) -> None:
    if "label" not in raw.values:
        raise InputError(
            f"{raw.path} has no column 'label'. It needs one, with {BAD[0]} or {GOOD[0]} in every row; its columns are "
            f"{shown(raw.values)}."
        )
    for name in ("judge", "judge_model", "scorer"):
        if _text(raw, name) is not None:
            raise InputError(
                f"{raw.place}: the column '{name}' says that these are verdicts of a judge ({_text(raw, name)!r:.60}). "
                "A judge is measured by what people say; drop the column if they are people's."
            )


def _label(raw: RawRow) -> bool | None:
    word = (_text(raw, "label") or "").strip().lower()
    if word in BAD:
        return True
    if word in GOOD:
        return False
    if word in UNSURE:
        return None
    known = ", ".join((*BAD, *GOOD, *UNSURE))
    said = "has no label" if not word else f"has the unknown label {word[:40]!r}"
    raise InputError(f"{raw.place}: the answer {said}. Known labels: {known}.")


def _text(raw: RawRow, name: str) -> str | None:
    values: Mapping[str, Any] = raw.values
    value = values.get(name)
    if value is None or (isinstance(value, float) and value != value):
        return None
    text = value if isinstance(value, str) else str(value)
    return text if text.strip() else None
