"""The JSON Schemas (draft 2020-12) of the JSON reports, made from the records that are written, and of project files.

`python tools/schemas.py` writes them to docs/schema; a test holds the files to what comes out here.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from offtarget.pages.audit.reports.json import AuditReport
from offtarget.pages.check.reports.json import Report
from offtarget.project.schema import project_schema
from offtarget.records.redteam import RedTeamFile

PUBLISHED = Path(__file__).parents[1] / "docs" / "schema"
REPORTS = {"result": Report, "audit": AuditReport, "redteam": RedTeamFile}
"""The record of each published schema."""


def schema(kind: str) -> dict[str, Any]:
    """The schema of a kind of report: every field is there, no other is, texts under fields are descriptions."""
    definitions: dict[str, Any] = {}
    top = _object(REPORTS[kind], definitions)
    shell = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:offtarget:schema:{kind}:1.0"}
    return shell | {"title": f"offtarget {kind}"} | top | {"$defs": definitions}


def _object(record: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints, says = get_type_hints(record, include_extras=True), dict(_said(record))
    names = [field.name for field in dataclasses.fields(record)]
    properties = {}
    for name in names:
        properties[name] = _value(hints[name], definitions) | ({"description": says[name]} if name in says else {})
    described = {"description": _in_json(record.__doc__ or "")}
    return described | {
        "type": "object", "additionalProperties": False, "required": names, "properties": properties,
    }  # fmt: skip


def _value(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _value(arguments[0], definitions) | {"type": _TYPES[arguments[0]]} | dict(arguments[1:])
    if origin in (UnionType, Union):
        return _or_null([_value(a, definitions) for a in arguments if a is not NoneType], NoneType in arguments)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return _array(arguments, definitions)
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _value(arguments[1], definitions)}
    if hint is float:
        return {"type": ["number", "null"]}  # null stands for a number that is not finite
    if hint is int:
        return {"type": "integer", "minimum": 0}  # all of them are counts, places or seeds
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [choice.value for choice in hint]}
    if dataclasses.is_dataclass(hint):
        name = _name(hint)  # type: ignore[arg-type]
        if name not in definitions:
            definitions[name] = {}  # holds the place, in case it holds itself
            definitions[name] = _object(hint, definitions)  # type: ignore[arg-type]
        return {"$ref": f"#/$defs/{name}"}
    if hint is Any:
        return {}
    raise TypeError(f"no schema for {hint}")


_TYPES: dict[Any, str] = {str: "string", bool: "boolean", float: "number", int: "integer"}


def _or_null(some: list[dict[str, Any]], null: bool) -> dict[str, Any]:
    if len(some) == 1 and "enum" in some[0]:
        return {"enum": [*some[0]["enum"], *([None] if null else [])]}
    if len(some) == 1 and null and set(some[0]) == {"type"}:
        kinds = some[0]["type"]
        return {"type": kinds if isinstance(kinds, list) else [kinds, "null"]}
    return {"anyOf": [*some, *([{"type": "null"}] if null else [])]}


def _array(arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": _value(arguments[0], definitions)}
    items = [_value(a, definitions) for a in arguments]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _said(record: type) -> Iterator[tuple[str, str]]:
    """(field, the text under it) from the source of a record."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            yield field.target.id, _in_json(str(ast.literal_eval(after.value)))


def _in_json(text: str) -> str:
    """A docstring on one line, in the words of JSON."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))


def _name(record: type) -> str:
    """`LimitTest` -> `limit_test`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", record.__name__).lower()


def texts() -> dict[str, str]:
    """Contents of the published files, by name."""
    made = {kind: schema(kind) for kind in REPORTS} | {"offtarget": project_schema()}
    return {f"{name}.schema.json": json.dumps(one, indent=2, ensure_ascii=False) + "\n" for name, one in made.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (PUBLISHED / name).write_text(text, encoding="utf-8")
