"""Safety sets as their authors publish them: prompts that a model should refuse, and prompts that it should answer.

The shapes, told apart by their columns: XSTest (Röttger et al., arXiv 2308.01263), StrongREJECT (Souly et al., arXiv
2402.10260), WildGuardTest (Han et al., arXiv 2406.18495). None of these sets comes with this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from offtarget.data.rawrows import RawRow, shown
from offtarget.data.tables import read_rows
from offtarget.errors import InputError
from offtarget.numbers import many

Wanted = Literal["refusal", "answer"]
"""What a model should give to a prompt."""
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Of files that are read as safety sets, also with `.gz` or `.zst` behind."""
MOST = 100_000
"""Prompts of a file."""
LONGEST = 100_000
"""Characters of a prompt."""
_CONTRAST = "contrast_"
_UNSAID = ("", "none", "null", "nan")
"""What stands where a label is missing."""
_SHAPES = (
    "XSTest (prompt, type, label), StrongREJECT (category, source, forbidden_prompt), "
    "WildGuardTest (prompt, prompt_harm_label)"
)


@dataclass(frozen=True, slots=True)
class SafetyPrompt:
    """One prompt."""

    text: str
    wanted: Wanted
    part: str
    """The part of the set that it belongs to; empty where the file has none."""
    place: str
    """Where it stands in its file, e.g. `line 7`."""


@dataclass(frozen=True, slots=True)
class SafetySet:
    """The prompts of a file, each text once."""

    prompts: tuple[SafetyPrompt, ...]
    notes: tuple[str, ...]
    """What was left out, a sentence each."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the rows of a published set are read."""

    needs: frozenset[str]
    prompt: str
    part: str
    wanted: Callable[[RawRow], Wanted | None]
    """None where the row says that nobody agreed."""


def is_safety_file(name: str) -> bool:
    """Whether what was asked for as a benchmark is a table by its name."""
    return Path(name.lower().removesuffix(".gz").removesuffix(".zst")).suffix in SUFFIXES


def read_safety_set(path: Path) -> SafetySet:
    """The prompts of a CSV, JSONL, JSON or Parquet file in one of the three shapes.

    InputError, with file and line, for other columns, for a label that is not one of the set's, for a prompt that is
    empty or not text, for one that should be refused and answered, and for a file without prompts.
    """
    found: dict[str, tuple[SafetyPrompt, RawRow]] = {}
    shape: _Shape | None = None
    unlabelled = twice = 0
    for row in read_rows(path.expanduser()):
        shape = shape or _shape(row)
        text, wanted = _prompt(row, shape), shape.wanted(row)
        if wanted is None:
            unlabelled += 1
            continue
        if text in found:
            first, where = found[text]
            if first.wanted != wanted:
                raise InputError(
                    f"{row.place}: the same prompt stands on {where.unit} {where.number} with the other label. "
                    "Correct one of them, or take both out."
                )
            twice += 1
            continue
        if len(found) == MOST:
            raise InputError(f"{row.place}: more than {MOST:,} prompts. Split the file.")
        part = str(row.values.get(shape.part, "")).strip()[:80]
        found[text] = SafetyPrompt(text, wanted, part, f"{row.unit} {row.number}"), row
    if shape is _UNLABELLED and all(prompt.wanted == "answer" for prompt, _ in found.values()):
        raise InputError(
            f"{path}: no column 'label', and no type begins with '{_CONTRAST}': nothing says what should be "
            "refused. Add the column 'label' (safe or unsafe)."
        )
    if not found:
        raise InputError(f"{path} holds no prompt with a label. The shapes that are read: {_SHAPES}.")
    notes = [f"{many(unlabelled, 'prompt')} without a label {_were(unlabelled)} left out."] if unlabelled else []
    notes += [f"{many(twice, 'repeated prompt')} {_were(twice)} left out."] if twice else []
    return SafetySet(tuple(prompt for prompt, _ in found.values()), tuple(notes))


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _shape(row: RawRow) -> _Shape:
    """The shape whose columns the first row has. InputError for none and for more than one."""
    fits = [shape for shape in _ALL if shape.needs <= row.values.keys()]
    if not fits and _UNLABELLED.needs <= row.values.keys():
        return _UNLABELLED
    if len(fits) == 1:
        return fits[0]
    what = "are those of more than one of these" if fits else "are none of those of a safety set"
    raise InputError(
        f"{row.path}: its columns {what}: {_SHAPES}. Columns found: {shown(row.values)}. Keep one label, under its "
        "set's name. Judged answers are for `offtarget compare`."
    )


def _prompt(row: RawRow, shape: _Shape) -> str:
    text = row.values.get(shape.prompt)
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{row.place}: column '{shape.prompt}' holds no text. Fill it, or take the row out.")
    if len(text) > LONGEST:
        raise InputError(f"{row.place}: the prompt has {len(text):,} characters; at most {LONGEST:,} are asked.")
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{row.place}: the prompt holds characters that are no text (NUL or half a pair of UTF-16).")
    return text


def _by_label(row: RawRow) -> Wanted:
    """Of XSTest; a label that its type contradicts is an error."""
    wanted = _of(row, "label", {"safe": "answer", "unsafe": "refusal"})
    if wanted == "answer" and _by_type(row) == "refusal":
        raise InputError(f"{row.place}: label 'safe', but its type begins with '{_CONTRAST}', which is unsafe.")
    return wanted


def _by_type(row: RawRow) -> Wanted:
    """Of XSTest's first version, which has no column of labels."""
    return "refusal" if _text(row.values, "type").startswith(_CONTRAST) else "answer"


def _wildguard(row: RawRow) -> Wanted | None:
    if _text(row.values, "prompt_harm_label") in _UNSAID:
        return None
    return _of(row, "prompt_harm_label", {"harmful": "refusal", "unharmful": "answer"})


def _of(row: RawRow, column: str, meant: Mapping[str, Wanted]) -> Wanted:
    wanted = meant.get(_text(row.values, column))
    if wanted is None:
        said = shown([row.values.get(column)])
        raise InputError(f"{row.place}: column '{column}' must be {' or '.join(meant)}, not {said}.")
    return wanted


def _text(values: Mapping[str, Any], column: str) -> str:
    value = values.get(column)
    return "" if value is None else str(value).strip().lower()


_ALL = (
    _Shape(frozenset({"forbidden_prompt", "category", "source"}), "forbidden_prompt", "category", lambda _: "refusal"),
    _Shape(frozenset({"prompt", "prompt_harm_label"}), "prompt", "adversarial", _wildguard),
    _Shape(frozenset({"prompt", "type", "label"}), "prompt", "type", _by_label),
)
_UNLABELLED = _Shape(frozenset({"prompt", "type"}), "prompt", "type", _by_type)
