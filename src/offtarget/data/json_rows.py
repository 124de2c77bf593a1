"""Rows of JSONL files and of JSON documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from offtarget.data.inspect_rows import is_inspect_log, sample_rows
from offtarget.data.rawrows import RawRow
from offtarget.data.streams import document, lines
from offtarget.errors import InputError

_LISTS = ("rows", "data", "samples")


def jsonl_rows(stream: BinaryIO, path: Path) -> Iterator[RawRow]:
    """One JSON object per line; blank lines are skipped."""
    for number, text in lines(stream, path):
        if not text.strip():
            continue
        value = _parse(text, f"{path}, line {number}")
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {number} is not a JSON object with named values.")
        yield RawRow(path, "line", number, value)


def json_rows(stream: BinaryIO, path: Path) -> Iterator[RawRow]:
    """Rows of one JSON document: a list of objects, an object that holds one, or an Inspect log."""
    try:
        text = document(stream, path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    value = _parse(text, str(path))
    if is_inspect_log(value):
        yield from sample_rows(value["samples"] or [], path)
        return
    if isinstance(value, dict):
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), value)
    if not isinstance(value, list):
        raise InputError(f"{path} is JSON but not a table: expected a list of objects, one per judged answer.")
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number} is not a JSON object with named values.")
        yield RawRow(path, "row", number, row)


def is_one_row(text: str) -> bool:
    """Whether a file's first line is a complete row, which makes the file JSONL rather than one document."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(value, dict)
        and not is_inspect_log(value)
        and not any(isinstance(value.get(key), list) for key in _LISTS)
    )


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place} is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    except (RecursionError, ValueError):
        raise InputError(
            f"{place} is not readable JSON: nested too deeply, or a number with too many digits."
        ) from None
