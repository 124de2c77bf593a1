"""What a data file is, by its first bytes; its name only helps where they leave it open."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NamedTuple

from offtarget.data.training.csv_records import DELIMITERS, header_of
from offtarget.data.training.forms import EXPECTED, is_turn, layout_for, unknown_keys
from offtarget.data.training.values import Malformed, json_value, kind
from offtarget.errors import InputError

HEAD = 2**18
"""Bytes looked at."""

BOM = b"\xef\xbb\xbf"

WRAPPERS = frozenset({
    "data", "rows", "examples", "items", "records", "samples", "instances", "entries", "dataset", "train", "training",
    "conversations", "conversation", "chats", "dialogs", "dialogues", "messages",
})  # fmt: skip
"""Names under which an object that is a whole file holds its rows."""

_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_DECODER = json.JSONDecoder()

_BINARY = {
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "an SQLite database",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
}
_ACCEPTED = "Give JSONL, a JSON array, CSV, TSV or Parquet (each may be .gz or .zst), or a folder of them"


class FileKind(NamedTuple):
    """How a file is cut into records."""

    name: str
    """`lines`, `array`, `chat` (one list of turns), `csv`, `parquet`, `arrow-stream` or `arrow-file`."""
    delimiter: str = ""
    """Of a CSV file."""
    opening: int = 0
    """Bytes up to the first element of an array that stands in an object; 0 where the array is the file."""
    under: str = ""
    """The name it has in that object."""


def recognise(head: bytes, whole: bool, name: str, form: str | None = None) -> FileKind | None:
    """The kind of a file from its first bytes (all of them if `whole`); None when it is blank. Raises InputError."""
    if head.startswith(b"PAR1"):
        return FileKind("parquet")
    if head.startswith(b"ARROW1"):
        return FileKind("arrow-file")
    if head.startswith(b"\xff\xff\xff\xff"):
        return FileKind("arrow-stream")
    _refuse_other_than_text(head, name)
    text = head.removeprefix(BOM).lstrip(b" \t\r\n")
    if not text:
        if whole:
            return None
        raise InputError(f"{name} starts with {len(head):,} blank bytes. {_ACCEPTED}.")
    lines = [line for line in text.split(b"\n") if line.strip()]
    if not whole and len(lines) > 1:
        lines.pop()  # cut off
    if text.startswith(b"["):
        return _list_kind(text, lines, name)
    if text.startswith(b"{") and (wrapped := _wrapped(text, lines)):
        return wrapped._replace(opening=wrapped.opening + len(head.removeprefix(BOM)) - len(text))
    table = None if text.startswith(b"{") else _table(text, name, form)
    if table is not None:  # first, as code in a cell may begin a line with a brace
        return table
    if any(line.lstrip().startswith(b"{") for line in lines):
        _refuse_document(lines, name)
        _refuse_unknown_keys(lines, name, form)
        return FileKind("lines")
    raise _no_data(text, name, form)


def _refuse_other_than_text(head: bytes, name: str) -> None:
    every_other_zero = len(head) > 8 and not (any(head[:64:2]) and any(head[1:64:2]))
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or every_other_zero:
        raise InputError(f"{name} is UTF-16 text. Save it as UTF-8.")
    found = next((what for magic, what in _BINARY.items() if head.startswith(magic)), None)
    sample = head[:4096]
    odd = sum(sample.count(byte) for byte in range(32) if byte not in b"\t\n\r\f\x0b\x1b")
    if found is None and not head.lstrip().startswith((b"{", b"[", BOM)) and odd * 50 > len(sample):
        found = "a binary file"
    if found:
        raise InputError(f"{name} is {found}, not training data. {_ACCEPTED}.")


def _list_kind(text: bytes, lines: list[bytes], name: str) -> FileKind:
    """A list of rows, a list of turns that is one chat, or such a list in every line."""
    first = next((value for value in map(_value, lines[:100]) if value != []), None)
    if isinstance(first, list):
        if _is_turn(first[0]):
            return FileKind("lines" if b"\n" in text.rstrip() else "chat")
        if len(lines) > 1 and lines[1].lstrip().startswith(b"["):
            what = f"a list of which the first element is {kind(first[0])}"
            raise InputError(
                f"{name}: each line is {what}. Give one object per line, or one list of turns (with role and content)."
            )
        return FileKind("array")
    return FileKind("chat" if _is_turn(_first_of(text.decode("utf-8", "replace"), 1)) else "array")


def _wrapped(text: bytes, lines: list[bytes]) -> FileKind | None:
    """The array of rows in a file that is one object, such as `{"data": [...]}`; None for any other file."""
    row = _object(lines[0])
    if row is not None and len(lines) > 1:
        return None  # one object per line
    said, at = text.decode("utf-8", "surrogateescape"), 1
    try:
        while True:
            key, at = scanstring(said, said.index('"', at) + 1)
            at = _NOT_BLANK.search(said, said.index(":", at) + 1).start()  # type: ignore[union-attr]
            first = _first_of(said, at + 1) if said[at] == "[" else None
            if _holds_rows(key, first) and not (row and isinstance(first, dict) and _is_row(row, key)):
                return FileKind("array", opening=len(said[: at + 1].encode("utf-8", "surrogateescape")), under=key)
            _, at = _DECODER.raw_decode(said, at)
    except (ValueError, AttributeError, IndexError, RecursionError):  # cut off, or no JSON
        return None


def holds_rows(key: str, value: object) -> bool:
    """Whether a value of an object that is a whole file is a list of rows."""
    return isinstance(value, list) and bool(value) and _holds_rows(key, value[0])


def _holds_rows(key: str, first: object) -> bool:
    if isinstance(first, list):
        return bool(first) and _is_turn(first[0])
    known = isinstance(first, dict) and layout_for(_keys(first), None) is not None
    return known and key.strip().lower() in WRAPPERS


def _is_row(row: dict[str, object], key: str) -> bool:
    """Whether an object says something to train on without what it has under `key`."""
    return layout_for(tuple(name for name in _keys(row) if name != key), None) is not None


def _is_turn(value: object) -> bool:
    return isinstance(value, dict) and layout_for(_keys(value), None) is None and is_turn({*map(str.lower, value)})


def _keys(value: dict[str, object]) -> tuple[str, ...]:
    return tuple(key for key, held in value.items() if held is not None)


def _first_of(text: str, at: int) -> object:
    """The first element of the array whose inside begins at `at`; None where it is not whole."""
    try:
        found = _NOT_BLANK.search(text, at)
        return _DECODER.raw_decode(text, found.start())[0] if found else None
    except (ValueError, RecursionError):
        return None


def _value(line: bytes) -> object:
    try:
        return json_value(line)
    except Malformed:
        return None


def _refuse_document(lines: list[bytes], name: str) -> None:
    """One object printed over many lines is a document, not rows."""
    if len(lines) > 1 and lines[0].strip() in (b"{", b"{}") and not any(_object(line) for line in lines[:100]):
        raise InputError(
            f"{name} is one JSON object over several lines. Expected one object per line (JSONL) or an array of them."
        )


def _object(line: bytes) -> dict[str, object] | None:
    value = _value(line)
    return value if isinstance(value, dict) else None


def _refuse_unknown_keys(lines: list[bytes], name: str, form: str | None) -> None:
    """A file none of whose first rows has keys that are understood is the wrong file, not a file of bad rows."""
    values = [value for value in map(_object, lines[:100]) if value is not None]
    keys = [_keys(value) for value in values]
    if keys and all(layout_for(names, form) is None for names in keys):
        raise InputError(f"{name} does not look like training data: {unknown_keys(keys[0], form).detail}")


def _table(text: bytes, name: str, form: str | None) -> FileKind | None:
    """The kind of a table when the first line names columns of training data."""
    for delimiter in DELIMITERS:
        try:
            header = header_of(_first_record(text), delimiter)
        except Malformed as error:
            if error.error == "duplicate-key":
                raise InputError(f"{name}, line 1: {error.detail}") from None
            continue
        if layout_for(header, form):
            return FileKind("csv", delimiter)
    return None


def _no_data(text: bytes, name: str, form: str | None) -> InputError:
    first = _first_record(text).decode("utf-8", "replace").strip()
    columns = max((tuple(cell.strip(' "') for cell in first.split(d)) for d in DELIMITERS), key=len)
    if len(columns) > 1:
        return InputError(f"{name} does not look like training data: {unknown_keys(columns, form).detail}")
    return InputError(f"{name} is not recognised as training data. {_ACCEPTED}, with {EXPECTED}.")


def _first_record(text: bytes) -> bytes:
    return text.split(b"\n", 1)[0]
