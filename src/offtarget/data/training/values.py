"""The bytes of one row as a JSON value, or as the exception that says why they are none."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_ROW = 8 * 2**20
"""Longest row in bytes; a longer one is skipped piece by piece and recorded, never held in memory."""

MAX_DEPTH = 100
"""Deepest nesting of lists and objects in a row; everything that walks a row later relies on it."""


class Malformed(Exception):
    """A row that is no training example; `error` is the short name of the kind."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail


def shown(text: str, limit: int = 40) -> str:
    """Text of the data as it may stand in a message: quoted, short, without control characters."""
    return ascii(text if len(text) <= limit else text[: limit - 1] + "…").replace("\\u2026", "…")


_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def too_long(length: int) -> Malformed:
    """The error for a row above the limit."""
    return Malformed(
        "too-long", f"{length:,} bytes; a row longer than {MAX_ROW // 2**20} MiB is not read as a training example."
    )


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def text_of(raw: bytes) -> str:
    """The row as text. Raises Malformed: `too-long`, `nul-byte`, `not-utf8`."""
    if len(raw) > MAX_ROW:
        raise too_long(len(raw))
    if b"\0" in raw:
        raise Malformed("nul-byte", f"a NUL byte at byte {raw.index(0)} of the row; text has none.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("not-utf8", f"byte {error.start} of the row is not UTF-8 ({error.reason}).") from None


def json_value(raw: bytes) -> Any:
    """The JSON value of a row. Raises Malformed for everything that is not exactly one JSON value.

    A name that stands twice in one object is malformed too: readers differ in which value they take. Numbers JSON has
    no place for (`NaN`, `1e999`) become text, so that every value can be written as strict JSON again.
    """
    text = text_of(raw)
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise Malformed("not-json", f"{error.msg} at character {error.pos + 1} of the row.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise Malformed("not-json", "it holds a number with too many digits.") from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _deeper(value, MAX_DEPTH):
        raise _too_deep()
    if b"\\u" in raw and _SURROGATE.search(raw):
        _refuse_surrogates(value)
    return value


def _too_deep() -> Malformed:
    return Malformed("too-deep", f"lists or objects are nested more than {MAX_DEPTH} deep.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed("duplicate-key", f"the name {shown(twice)} stands twice in one object; which one counts?")
    return value


def _finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=str).decode


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value is nested more than `levels` deep; level by level, so that depth costs no stack."""
    layer = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        inner = [item for outer in layer for item in (outer.values() if isinstance(outer, dict) else outer)]
        layer = [item for item in inner if isinstance(item, dict | list)]
        if not layer:
            return False
    return True


def _refuse_surrogates(value: Any) -> None:
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo.extend(item)
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
        elif isinstance(item, str):
            try:
                item.encode("utf-8")
            except UnicodeEncodeError as error:
                raise Malformed(
                    "lone-surrogate",
                    f"half of a surrogate pair (\\u{ord(item[error.start]):04x}); no tokenizer can encode it.",
                ) from None
