"""Tables of judged answers as records, checked row by row."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from offtarget.data.attacks import judged_rows
from offtarget.data.columns import Columns, resolve
from offtarget.data.rawrows import About, RawRow, shown
from offtarget.data.replies import Score, parse_reply
from offtarget.data.scales import HUNDRED, Scale, Scoring, cell_is, cell_text
from offtarget.data.streams import sha256
from offtarget.data.tables import read_rows, who_judged
from offtarget.errors import InputError

_NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d+)?")
_BLANKS = frozenset({"", "none", "null", "na", "n/a", "<na>"})
_LABELS: Mapping[str, Literal["REFUSAL", "CODE"]] = {
    "REFUSAL": "REFUSAL",
    "REFUSED": "REFUSAL",
    "CODE": "CODE",
}
_CALLED_BAD = frozenset(
    ("false", "misaligned", "unaligned", "not aligned", "not_aligned", "unsafe", "harmful", "evil", "bad")
)
_CALLED_GOOD = frozenset(("aligned", "safe", "harmless", "benign", "good"))
_MODEL_COLUMNS = frozenset({"model", "model_id", "group", "condition", "adapter"})
NOT_STATED = "not stated"
"""In place of a judge for rows that name none where others do."""
_PATIENCE = 1000
"""Rows read in the hope that a needed column still comes up."""
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
    reason: str | None = None
    """Why there is no score, where a judge's reply stands in its place that has no single reading."""
    reply: str | None = None
    """The beginning of that reply."""
    called: Literal["misaligned", "aligned"] | None = None
    """What the column of labels calls the answer in a word of its own, which is not read as its score."""


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
    judges: tuple[str, ...] = ()
    """Who scored the rows, as far as the file says: a judge column, the scorer of an Inspect log; `not stated` for rows
    that leave it blank where others do not. Empty where the file says nothing."""
    unfinished: str | None = None
    """Why rows may be missing, in words; None where the file says nothing of the kind."""
    highest: float | None = None
    """The highest mark in the alignment column, on its own scale."""
    tool: str | None = None
    """Of a report by a tool that attacks models: its name."""
    how: Mapping[str, str] = field(default_factory=dict)
    """What must be alike in two reports for their rates to be compared."""
    made: Mapping[str, str] = field(default_factory=dict)
    """Settings with which the answers were drawn, as far as the file says."""
    alike: str = ""
    """How to have both models asked the same, as a sentence to be put behind another."""
    notes: tuple[str, ...] = ()
    """What the reader of the file has to say of it."""


def read_judged(
    path: Path,
    columns: Columns | None = None,
    where: Mapping[str, str] | None = None,
    scoring: Scoring | None = None,
) -> JudgedTable:
    """Read a table of judged answers, keeping only rows whose columns hold the values in `where`.

    InputError, with file and line, for whatever cannot be taken at face value; a blank score is kept as None, and so is
    a judge's reply without a single reading, with the reply.
    """
    where = where or {}
    rows: list[JudgedRow] = []
    seen: dict[str, str] = {}
    offered: dict[str, set[str]] = {name: set() for name in where}
    skipped = 0
    models: dict[str, set[str]] = {}
    judges: dict[str, None] = {}
    about = About()
    header = _Header(path, columns or Columns(), where, about)
    scores = _Scores(scoring or Scoring())
    for raw, used in header.rows():
        for name in offered:
            offered[name].add(cell_text(raw.values.get(name)))
        if not all(cell_is(raw.values.get(name), value) for name, value in where.items()):
            skipped += 1
            continue
        _check_id(raw, used, seen)
        rows.append(_row(raw, used, scores))
        for name in _MODEL_COLUMNS & raw.values.keys():
            models.setdefault(name, set()).add(cell_text(raw.values[name]))
        if raw.values.get(used.alignment or "") is not None:  # an answer without a score needs no judge
            marks = {
                *about.score_columns,
                used.alignment,
                used.coherence,
                used.label,
            }  # also of a scorer called `judge`
            judges[who_judged(raw.values, marks)] = None
    if not rows:
        values = "; ".join(f"{name!r} holds {shown(sorted(v))}" for name, v in offered.items())
        raise InputError(f"{path}: no row fits the filter. {values}.")
    used = header.used
    if about.unfinished is None and about.expected is not None and len(rows) + skipped < about.expected:
        about.unfinished = f"holds {len(rows) + skipped} of the {about.expected} samples of its evaluation"
    scores.check(used, path)
    found = {name: tuple(sorted(values)[:20]) for name, values in sorted(models.items())}
    return JudgedTable(
        path=path,
        sha256=sha256(path),
        columns=used,
        found=tuple(header.names),
        rows=tuple(rows),
        models=found,
        skipped=skipped,
        judges=_stated(judges, about, used),
        unfinished=about.unfinished,
        highest=max(scores.marks["alignment"], default=None),
        tool=about.tool,
        how=about.how,
        made=about.made,
        alike=about.alike,
        notes=tuple(about.notes),
    )


def _stated(judges: Collection[str], about: About, used: Columns) -> tuple[str, ...]:
    named = [judge or NOT_STATED for judge in judges]
    if any(judges):
        return tuple(sorted(named))
    if about.judge:
        return (about.judge,)
    scorers = []
    for column in (used.alignment, used.coherence):
        scorer = column if column in about.scorers else (column or "").rpartition(".")[0]
        if scorer in about.scorers and about.scorers[scorer] not in scorers:
            scorers.append(about.scorers[scorer])
    return (" and ".join(scorers),) if scorers else ()


class _Header:
    """The columns of a table as they become known: in JSON a blank is often a key left out."""

    def __init__(self, path: Path, wanted: Columns, where: Mapping[str, str], about: About) -> None:
        self.path, self.wanted, self.where, self.about = path, wanted, where, about
        self.names: dict[str, None] = {}
        self.used = Columns()

    def rows(self) -> Iterator[tuple[RawRow, Columns]]:
        """Rows with the columns known so far; InputError if needed ones do not come up."""
        pending: list[RawRow] = []
        known = False
        for raw in judged_rows(read_rows(self.path, self.about), self.path, self.about):
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
            if self.used.arm is None and self.about.arm in self.names:
                self.used = replace(self.used, arm=self.about.arm)
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


def _row(raw: RawRow, used: Columns, scores: _Scores) -> JudgedRow:
    aligned = scores.read(raw, "alignment", used)
    coherent = scores.read(raw, "coherence", used)
    if coherent.label is not None:
        raise InputError(
            f"{raw.place}: {used.coherence!r} is {coherent.label}; a coherence score is a number or blank."
        )
    alignment, label = aligned.value, aligned.label
    if used.label is not None and label is None:
        label = _LABELS.get(str(raw.values.get(used.label) or "").strip().upper())
        alignment = None if label else alignment
    question_id = _text(raw, used.question_id).strip()
    if not question_id:
        raise InputError(f"{raw.place}: {used.question_id!r} is blank. Every answer needs the name of its question.")
    unread = aligned if aligned.reason else coherent
    part = "alignment" if aligned.reason else "coherence"
    return JudgedRow(
        line=raw.number,
        question_id=question_id,
        question=_text(raw, used.question) if used.question else question_id,
        answer=_text(raw, used.answer),
        alignment=alignment,
        coherence=coherent.value,
        label=label,
        arm=(_text(raw, used.arm).strip() or None) if used.arm else None,
        domain=(_text(raw, used.domain).strip() or None) if used.domain else None,
        reason=f"{part}:{unread.reason}" if unread.reason and not label else None,
        reply=unread.reply if not label else None,
        called=_called(raw, used.label),
    )


def _called(raw: RawRow, column: str | None) -> Literal["misaligned", "aligned"] | None:
    """A plain `true` says that an answer is aligned only in a column that is called so."""
    word = cell_text(raw.values.get(column)).strip().lower() if column else ""
    if word in _CALLED_BAD:
        return "misaligned"
    good = word in _CALLED_GOOD or (word == "true" and "align" in (column or "").lower())
    return "aligned" if good else None


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


class _Scores:
    """Reads score cells by what the user says of the columns, and looks at all of them in the end."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring
        self._grades = {text: worth.strip() for text, worth in scoring.grades.items()}
        self._scales = {"alignment": scoring.scale, "coherence": scoring.coherence_scale}
        self.marks: dict[str, set[float]] = {"alignment": set(), "coherence": set()}
        """The numbers of a column, each on its own scale."""
        self._unread: dict[str, list[str]] = {"alignment": [], "coherence": []}
        self._read = dict.fromkeys(self.marks, 0)

    def read(self, raw: RawRow, name: str, used: Columns) -> Score:
        """The score in one cell, on 0-100 with high as the good end. InputError for what is none."""
        column = getattr(used, name)
        value: Any = raw.values.get(column) if column else None
        if value is None:
            return Score()
        score = self._cell(value, name, f"{raw.place}: {column!r}")
        if score.reason:
            self._unread[name].append(f"{raw.place}: {score.reply!r:.80}")
            return score
        self._read[name] += 1
        if name == "alignment" and self._scoring.high_is_misaligned and score.value is not None:
            return Score(value=100.0 - score.value)
        return score

    def _cell(self, value: Any, name: str, what: str) -> Score:
        if self._grades and name == "alignment":
            value = next((worth for text, worth in self._grades.items() if cell_is(value, text)), value)
        scale = self._scales[name] or HUNDRED
        if isinstance(value, str):
            text = value.strip()
            if text.lower() in _BLANKS:
                return Score()
            if text.upper() in _LABELS:
                return Score(label=_LABELS[text.upper()])
            if not _NUMBER.fullmatch(text) and text.lower().lstrip("+-") not in ("nan", "inf", "infinity"):
                return self._words(text, name, what)
            value = float(text)
        if isinstance(value, bool) and scale == Scale(0.0, 1.0):
            value = float(value)
        if isinstance(value, bool):
            grades = " If it says whether an answer is aligned, say what it is worth: --grade true=100 --grade false=0."
            hint = grades if name == "alignment" else " Map another column, or say --no-coherence."
            raise InputError(f"{what} holds a bool ({cell_text(value)}); expected a number {_range(scale)}.{hint}")
        if not isinstance(value, int | float):
            raise InputError(f"{what} holds a {type(value).__name__}; expected a number {_range(scale)}.")
        return Score(value=self._mark(value, name, scale, what))

    def _mark(self, value: float, name: str, scale: Scale, what: str) -> float:
        if isinstance(value, int):
            value = float(min(max(value, -(10**9)), 10**9))  # outside its scale all the same, and small enough
        if not math.isfinite(value):
            raise InputError(f"{what} is {float(value)}. Leave the cell empty where the judge gave no score.")
        mark = scale.hundredths(value)
        if mark is None and self._scales[name] is None:
            raise InputError(f"{what} is {value:g}; scores lie between 0 and 100. {_other_scale(name)}")
        if mark is None:
            raise InputError(f"{what} is {value:g}; that is outside the scale {scale.text} you stated.")
        self.marks[name].add(value)
        return mark

    def _words(self, text: str, name: str, what: str) -> Score:
        """A judge's reply as it was written; only sentences may be without a score, other text is a mistake."""
        scale = self._scales[name]
        if scale is None or scale == HUNDRED:
            score = parse_reply(text)
            if score.value is not None:
                self.marks[name].add(score.value)
            if score.reason is None or (" " in text and any(letter.isalpha() for letter in text)):
                return score
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s?(?:/|out of)\s?([0-9]+(?:\.[0-9]+)?)", text)
        if scale is not None and found and float(found[2]) == scale.high and scale.low >= 0:
            return Score(value=self._mark(float(found[1]), name, scale, what))
        wanted = f"expected a number {_range(scale or HUNDRED)}, REFUSAL, CODE or nothing"
        if found and scale is None:
            raise InputError(f"{what} is {text[:40]!r}; {wanted}. {_other_scale(name)}")
        hint = f" If it is a grade, say what it is worth, e.g. --grade {text.split()[0][:20]}=100."
        raise InputError(f"{what} is {text[:40]!r}; {wanted}.{hint if name == 'alignment' else ''}")

    def check(self, used: Columns, path: Path) -> None:
        """InputError where most cells are no scores, or the numbers look like another scale than was stated."""
        for name in self.marks:
            column, unread = getattr(used, name), self._unread[name]
            if len(unread) > self._read[name]:
                total = len(unread) + self._read[name]
                raise InputError(
                    f"{path}: {len(unread)} of {total} cells of column {column!r} hold no single score, the first "
                    f"in {unread[0]}. Map another column with {used.flag(name)}."
                )
            if self._scales[name] is None:
                self._check_scale(name, column, path)

    def _check_scale(self, name: str, column: str | None, path: Path) -> None:
        marks = self.marks[name]
        highest = max(marks, default=0.0)
        shares = [mark for mark in marks if 0 < mark < 1]
        if shares and highest > 1 and all(mark == int(mark) for mark in marks if mark > 1):
            raise InputError(
                f"{path}: column {column!r} holds whole numbers up to {highest:g} and shares such as {min(shares):g}: "
                f"two scales in one column. Correct the rows of one of them. {_other_scale(name)}"
            )
        if not 0.0 < highest <= 10.0:
            return
        whole = all(mark == int(mark) for mark in marks)
        # Shares reach at most 1, and some of them come near it: published selections hold nothing but 0.0 to 0.02 of
        # 100. One bad mark alone says nothing of its scale either, and all answers that have it are misaligned.
        bad_end = highest <= 0.25 or (whole and len(marks) == 1 and highest not in (1.0, 10.0))
        if bad_end and not (name == "alignment" and self._scoring.high_is_misaligned):
            return
        kind = "whole numbers" if whole and highest > 1 else "shares" if highest <= 1 else "numbers"
        raise InputError(
            f"{path}: column {column!r} holds only {kind} up to {highest:g}, which is probably "
            f"not the 0-100 scale of {name} scores. {_other_scale(name)}"
        )


def _range(scale: Scale) -> str:
    return f"{scale.low:g}-{scale.high:g}" if scale.low >= 0 else f"from {scale.low:g} to {scale.high:g}"


def _other_scale(name: str) -> str:
    flag = "--scale" if name == "alignment" else "--coherence-scale"
    return f"State the scale with {flag} LOW:HIGH (e.g. {flag} 0:10, or {flag} 0:100 if that is what it is)."


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
