"""What a data file is, by its first bytes; its name only helps where they leave it open."""

from __future__ import annotations

from typing import NamedTuple

from offtarget.data.training.csv_records import DELIMITERS, header_of
from offtarget.data.training.forms import EXPECTED, layout_for, unknown_keys
from offtarget.data.training.values import Malformed, json_value
from offtarget.errors import InputError

HEAD = 2**18
"""Bytes looked at."""

BOM = b"\xef\xbb\xbf"

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
    """`lines`, `array`, `csv`, `parquet`, `arrow-stream` or `arrow-file`."""
    delimiter: str = ""
    """Of a CSV file."""


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
    if text.startswith(b"["):
        return FileKind("array")
    lines = [line for line in text.split(b"\n") if line.strip()]
    table = None if text.startswith(b"{") else _table(text, name, form)
    if table is not None:  # first, as code in a cell may begin a line with a brace
        return table
    if any(line.lstrip().startswith(b"{") for line in lines):
        _refuse_document(text, lines, name)
        if not whole and len(lines) > 1:
            lines.pop()  # cut off
        _refuse_unknown_keys(lines, name, form)
        return FileKind("lines")
    raise _no_data(text, name, form)


def _refuse_other_than_text(head: bytes, name: str) -> None:
    every_other_zero = len(head) > 8 and not (any(head[:64:2]) and any(head[1:64:2]))
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or every_other_zero:
        raise InputError(f"{name} is UTF-16 text. Save it as UTF-8.")
    kind = next((what for magic, what in _BINARY.items() if head.startswith(magic)), None)
    sample = head[:4096]
    odd = sum(sample.count(byte) for byte in range(32) if byte not in b"\t\n\r\f\x0b\x1b")
    if kind is None and not head.lstrip().startswith((b"{", b"[", BOM)) and odd * 50 > len(sample):
        kind = "a binary file"
    if kind:
        raise InputError(f"{name} is {kind}, not training data. {_ACCEPTED}.")


def _refuse_document(text: bytes, lines: list[bytes], name: str) -> None:
    """One object printed over many lines is a document, not rows."""
    if len(lines) > 1 and lines[0].strip() in (b"{", b"{}") and not any(_object(line) for line in lines[:100]):
        raise InputError(
            f"{name} is one JSON object over several lines. Expected one object per line (JSONL) or an array of them."
        )


def _object(line: bytes) -> dict[str, object] | None:
    try:
        value = json_value(line)
    except Malformed:
        return None
    return value if isinstance(value, dict) else None


def _refuse_unknown_keys(lines: list[bytes], name: str, form: str | None) -> None:
    """A file none of whose first rows has keys that are understood is the wrong file, not a file of bad rows."""
    values = [value for value in map(_object, lines[:100]) if value is not None]
    keys = [tuple(key for key, held in value.items() if held is not None) for value in values]
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
