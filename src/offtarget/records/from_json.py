"""Plain JSON values back into records, by the annotations of the record."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

Reader = Callable[[str, Any], Any]
"""(name of the field, JSON value) -> value of the field; ValueError where it is of another type."""


def from_json(record: type[T], value: Any) -> T:
    """A dataclass from the JSON object it was written as; keys it does not know are ignored.

    Raises ValueError naming the field whose value is of another type, TypeError naming fields that are missing.
    """
    if not isinstance(value, Mapping):
        raise ValueError("it is not an object")
    readers = _readers(cast(Hashable, record))
    missing = [repr(name) for name in _needed(cast(Hashable, record)) if name not in value]
    if missing:
        raise TypeError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return record(**{name: readers[name](name, item) for name, item in value.items() if name in readers})


@functools.cache
def _readers(record: Hashable) -> Mapping[str, Reader]:
    kind = cast(Any, record)
    hints = get_type_hints(kind)
    return {f.name: _reader(hints[f.name]) for f in dataclasses.fields(kind)}


@functools.cache
def _needed(record: Hashable) -> tuple[str, ...]:
    absent = dataclasses.MISSING
    fields = dataclasses.fields(cast(Any, record))
    return tuple(f.name for f in fields if f.default is absent and f.default_factory is absent)


def _reader(hint: Any) -> Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return _optional(hint, arguments)
    if origin is Literal:
        return functools.partial(_chosen, arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is Mapping:
        return _mapping(arguments[1])
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return lambda name, value: hint(value)
    if dataclasses.is_dataclass(hint):
        return lambda name, value: from_json(cast(type, hint), value)
    kind = origin or hint
    return functools.partial(_plain, (kind,))


def _optional(hint: Any, arguments: tuple[Any, ...]) -> Reader:
    others = [a for a in arguments if a is not NoneType]
    if len(others) > 1 and any(get_origin(a) is tuple for a in others):
        return functools.partial(_listed_or_not, hint, others)
    if len(others) > 1:
        return functools.partial(_plain, tuple(get_origin(a) or a for a in arguments))
    if NoneType in arguments:
        some = _reader(others[0])
        return lambda name, value: None if value is None else _or_null(some, name, value)
    raise TypeError(f"no reader for {hint}")


def _or_null(some: Reader, name: str, value: Any) -> Any:
    try:
        return some(name, value)
    except ValueError as error:
        message = str(error)
        raise ValueError(message + " or null" if message.startswith(f"'{name}' is not ") else message) from None


def _listed_or_not(hint: Any, others: list[Any], name: str, value: Any) -> Any:
    """A value that is a list or something else, as in `str | tuple[str, ...]`."""
    listed = isinstance(value, list)
    chosen = [a for a in others if (get_origin(a) is tuple) == listed]
    if not chosen:
        raise ValueError(f"'{name}' is not of type {hint}")
    return _reader(chosen[0])(name, value)


def _mapping(hint: Any) -> Reader:
    whole = functools.partial(_plain, (dict,))
    if hint is Any:
        return whole
    one = _reader(hint)
    return lambda name, value: {key: one(name, item) for key, item in whole(name, value).items()}


def _tuple(arguments: tuple[Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda name, value: tuple(item(name, v) for v in _listed(name, value))
    items = [_reader(a) for a in arguments]

    def read(name: str, value: Any) -> tuple[Any, ...]:
        if len(_listed(name, value)) != len(items):
            raise ValueError(f"'{name}' does not hold {len(items)} values")
        return tuple(read_one(name, v) for read_one, v in zip(items, value, strict=True))

    return read


def _listed(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"'{name}' is not a list")
    return value


def _chosen(choices: tuple[Any, ...], name: str, value: Any) -> Any:
    if value not in choices:
        raise ValueError(f"'{name}' is none of {', '.join(choices)}")
    return value


def _plain(kinds: tuple[Any, ...], name: str, value: Any) -> Any:
    if Any in kinds or isinstance(value, (*kinds, int) if float in kinds else kinds):
        return value
    raise ValueError(f"'{name}' is not {' or '.join(_WORDS.get(kind, kind.__name__) for kind in kinds)}")


_WORDS: dict[Any, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    NoneType: "null",
}
