"""The JSON Schema (draft 2020-12) of a project file, for editors and for other programs that write one."""

from __future__ import annotations

from typing import Any

from offtarget.project.keys import Key, within

_SHARE = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^[0-9.]+ ?%$"}]}
_TEXT = {"type": "string", "minLength": 1}
_TYPES: dict[str, dict[str, Any]] = {
    "text": _TEXT,
    "texts": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}]},
    "count": {"type": "integer", "minimum": 1},
    "whole": {"type": "integer", "minimum": 0},
    "number": {"type": "number"},
    "share": _SHARE,
    "money": {"type": "number", "exclusiveMinimum": 0},
    "flag": {"type": "boolean"},
}


def project_schema() -> dict[str, Any]:
    """Every key with its type and its sentence; no other key is allowed."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:offtarget:schema:project:1.0",
        "title": "offtarget project",
        "description": "What `offtarget run` does: offtarget.yaml.",
        **_object(""),
        "anyOf": [{"required": ["data"]}, {"required": ["base"]}],
        "not": {"required": ["tuned", "tune"]},
        "dependentRequired": {"tuned": ["base"], "tune": ["base", "data"], "split": ["data"], "audit": ["data"]},
    }


def _object(block: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.short: _property(key) for key in within(block)},
    }


def _property(key: Key) -> dict[str, Any]:
    if key.kind == "block":
        return {"description": key.says, **_object(key.name), "type": ["object", "null"]}
    kind = {"enum": list(key.choices)} if key.kind == "choice" else _TYPES[key.kind]
    return {"description": key.says, **kind}
