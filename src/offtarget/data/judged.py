"""Tables of judged answers as records, checked row by row."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from offtarget.data.columns import Columns, resolve
from offtarget.data.rawrows import RawRow, shown
from offtarget.data.streams import sha256
from offtarget.data.tables import read_rows
from offtarget.errors import InputError

_NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d+)?")
_BLANKS = frozenset({"", "none", "null", "na", "n/a", "<na>"})
_LABELS: Mapping[str, Literal["REFUSAL", "CODE"]] = {
    "REFUSAL": "REFUSAL",
    "REFUSED": "REFUSAL",
    "CODE": "CODE",
}
_MODEL_COLUMNS = frozenset({"model", "model_id", "group", "condition", "adapter"})
_PATIENCE = 1000
"""Rows read in the hope that a needed column still comes up."""
_ROUNDING = 1e-6
"""How far outside 0-100 a weighted mean of in-range numbers may land by rounding."""


_ARMS = {"_json": "json", "_template": "template"}
"""Endings of the published naming and the arms they stand for."""


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """One judged answer; None is `the table does not say`, never 0."""

    line: int
    """Where it stands in the file, in the unit of the format (line, row or sample), from 1."""
    question_id: str
    question: str
    answer: str
    alignment: float | None
    """0-100."""
    coherence: float | None
    """0-100."""
    label: Literal["REFUSAL", "CODE"] | None
    """What the judge said instead of an alignment score."""
    arm: str | None = None
    """As given by the table's own arm column."""
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedTable:
    """One file of judged answers."""

    path: Path
    sha256: str
    columns: Columns
    """The columns that were used."""
    found: tuple[str, ...]
    """All columns of the file."""
    rows: tuple[JudgedRow, ...]
    models: Mapping[str, tuple[str, ...]]
    """Columns that name the model (`model`, `group` ...) -> the values they hold, up to 20."""
    skipped: int
    """Rows left out by the filter."""


def read_judged(path: Path, columns: Columns | None = None, where: Mapping[str, str] | None = None) -> JudgedTable:
    """Read a table of judged answers, keeping only rows whose columns equal the values in `where`.

    InputError, with file and line, for whatever cannot be taken at face value; a blank score is kept as None.
    """
    where = where or {}
    rows: list[JudgedRow] = []
    seen: dict[str, str] = {}
    offered: dict[str, set[str]] = {name: set() for name in where}
    skipped = 0
    models: dict[str, set[str]] = {}
    header = _Header(path, columns or Columns(), where)
    for raw, used in header.rows():
        for name in offered:
            offered[name].add(str(raw.values.get(name)))
        if any(str(raw.values.get(name)) != value for name, value in where.items()):
            skipped += 1
            continue
        _check_id(raw, used, seen)
        rows.append(_row(raw, used))
        for name in _MODEL_COLUMNS & raw.values.keys():
            models.setdefault(name, set()).add(str(raw.values[name]))
    if not rows:
        values = "; ".join(f"{name!r} holds {shown(sorted(v))}" for name, v in offered.items())
        raise InputError(f"{path}: no row fits the filter. {values}.")
    used = header.used
    _check_scale(rows, used, path)
    found = {name: tuple(sorted(values)[:20]) for name, values in sorted(models.items())}
    return JudgedTable(
        path=path,
        sha256=sha256(path),
        columns=used,
        found=tuple(header.names),
        rows=tuple(rows),
        models=found,
        skipped=skipped,
    )


class _Header:
    """The columns of a table as they become known: in JSON a blank is often a key left out."""

    def __init__(self, path: Path, wanted: Columns, where: Mapping[str, str]) -> None:
        self.path, self.wanted, self.where = path, wanted, where
        self.names: dict[str, None] = {}
        self.used = Columns()

    def rows(self) -> Iterator[tuple[RawRow, Columns]]:
        """Rows with the columns known so far; InputError if needed ones do not come up."""
        pending: list[RawRow] = []
        known = False
        for raw in read_rows(self.path):
            if any(name not in self.names for name in raw.values):
                self.names.update(dict.fromkeys(raw.values))
                known = self._resolve(final=len(pending) >= _PATIENCE)
            if not known:
                pending.append(raw)
                if len(pending) > _PATIENCE:
                    self._resolve(final=True)
                continue
            for row in (*pending, raw):
                yield row, self.used
            pending.clear()
        if not self.names:
            raise InputError(f"{self.path} holds no rows. Give the table of judged answers.")
        if not known:
            self._resolve(final=True)

    def _resolve(self, *, final: bool) -> bool:
        try:
            self.used = resolve(self.wanted, self.names, self.path)
            missing = [name for name in self.where if name not in self.names]
            if missing:
                raise InputError(
                    f"{self.path} has no column {shown(missing)} to filter by. Its columns are: {shown(self.names)}."
                )
        except InputError:
            if final:
                raise
            return False
        return True


def _row(raw: RawRow, used: Columns) -> JudgedRow:
    alignment, label = _score(raw, used.alignment)
    coherence, coherence_label = _score(raw, used.coherence)
    if coherence_label is not None:
        raise InputError(
            f"{raw.place}: {used.coherence!r} is {coherence_label}; a coherence score is a number or blank."
        )
    if used.label is not None and label is None:
        label = _LABELS.get(str(raw.values.get(used.label) or "").strip().upper())
        alignment = None if label else alignment
    question_id = _text(raw, used.question_id).strip()
    if not question_id:
        raise InputError(f"{raw.place}: {used.question_id!r} is blank. Every answer needs the name of its question.")
    return JudgedRow(
        line=raw.number,
        question_id=question_id,
        question=_text(raw, used.question) if used.question else question_id,
        answer=_text(raw, used.answer),
        alignment=alignment,
        coherence=coherence,
        label=label,
        arm=(_text(raw, used.arm).strip() or None) if used.arm else None,
        domain=(_text(raw, used.domain).strip() or None) if used.domain else None,
    )


def _text(raw: RawRow, column: str | None) -> str:
    value = raw.values.get(column) if column else None
    if value is None:
        return ""
    if isinstance(value, str):
        # Lone surrogates can enter through JSON escapes and would break every later UTF-8 write.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int | float):
        return str(value)
    raise InputError(f"{raw.place}: {column!r} holds a {type(value).__name__}; expected text.")


def _score(raw: RawRow, column: str | None) -> tuple[float | None, Literal["REFUSAL", "CODE"] | None]:
    value: Any = raw.values.get(column) if column else None
    if value is None:
        return None, None
    what = f"{raw.place}: {column!r}"
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _BLANKS:
            return None, None
        if text.upper() in _LABELS:
            return None, _LABELS[text.upper()]
        if not _NUMBER.fullmatch(text) and text.lower().lstrip("+-") not in ("nan", "inf", "infinity"):
            raise InputError(f"{what} is {text[:40]!r}; expected a number 0-100, REFUSAL, CODE or nothing.")
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{what} holds a {type(value).__name__}; expected a number 0-100.")
    if isinstance(value, int):
        value = float(min(max(value, -1000), 1000))  # outside 0-100 all the same, and small enough for a float
    if not math.isfinite(value):
        raise InputError(f"{what} is {float(value)}. Leave the cell empty where the judge gave no score.")
    if not -_ROUNDING <= value <= 100 + _ROUNDING:
        raise InputError(f"{what} is {value:g}; scores lie between 0 and 100.")
    return min(100.0, max(0.0, float(value))), None


def _check_id(raw: RawRow, used: Columns, seen: dict[str, str]) -> None:
    value = raw.values.get(used.id) if used.id else None
    if value is None or value == "":
        return
    first = seen.setdefault(str(value), f"{raw.unit} {raw.number}")
    if first != f"{raw.unit} {raw.number}":
        raise InputError(
            f"{raw.place}: {used.id!r} {str(value)[:40]!r} already stands in {first}. An answer counts once: "
            "remove the copy, or say --id-column none if that column does not name the rows."
        )


def _check_scale(rows: list[JudgedRow], used: Columns, path: Path) -> None:
    for name in ("alignment", "coherence"):
        values = {getattr(row, name) for row in rows} - {None}
        highest = max(values, default=0.0)
        whole = all(v == int(v) for v in values)
        # Shares reach at most 1, and some of them come near it: published selections hold nothing but 0.0 to 0.02 of
        # 100. A column of nothing but the top mark of a 0-1 or 0-10 scale gives itself away too.
        if 0.25 < highest <= 1 or (whole and highest <= 10 and (len(values) > 1 or highest == 10)):
            raise InputError(
                f"{path}: column {getattr(used, name)!r} holds only {'whole numbers' if whole else 'shares'} up to "
                f"{highest:g}, not the 0-100 scale of {name} scores; convert it, or map another "
                f"with {used.flag(name)}."
            )


def split_arms(question_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Question id -> (question, arm): `wish`, `wish_json` and `wish_template` are one question in three arms.

    An ending counts as an arm only where the question without it exists too, or where every id has that
    ending: a lone question that happens to be called `fill_in_template` stays a plain question.
    """
    ids = set(question_ids)
    result: dict[str, tuple[str, str]] = {}
    for name in ids:
        result[name] = (name, "plain")
        for suffix, arm in _ARMS.items():
            family = name.removesuffix(suffix)
            if family and family != name and (family in ids or all(other.endswith(suffix) for other in ids)):
                result[name] = (family, arm)
    return result
