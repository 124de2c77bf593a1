"""Calls of tools in a turn, and the tools that a row offers, in the spellings of the usual trainers and services."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from offtarget.data.training.values import Malformed, json_value, kind
from offtarget.records import ToolCall

ARGUMENTS = ("arguments", "args", "input", "parameters")
_OF_CALL = frozenset({"id", "call_id", "toolUseId", "type", "index", "function", "custom", "name", *ARGUMENTS})

Unknown = Callable[[str, object], None]
"""Told the name and value of every field of a call that is not understood."""


def as_json(value: object) -> str:
    """A value as JSON text."""
    return json.dumps(value, ensure_ascii=False)


def calls_of(value: object, place: str, unknown: Unknown) -> list[ToolCall]:
    """Calls under `tool_calls` or `function_call`: one or several, as objects or JSON text. Raises Malformed `call`."""
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return []
        value = _json(text, place)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise Malformed("call", f"{place} is {kind(value)}; expected a list of calls.")
    return [call_of(_json(call, place) if isinstance(call, str) else call, place, unknown) for call in value]


def _json(text: str, place: str) -> Any:
    try:
        return json_value(text.encode("utf-8", "surrogatepass"))
    except Malformed as error:
        raise Malformed(
            "call", f"{place} is text, but no JSON ({error.detail.removesuffix(' of the row.')})."
        ) from None


def call_of(call: object, place: str, unknown: Unknown | None = None) -> ToolCall:
    """One call: its name and arguments in it or under `function`. Raises Malformed `call` where it has no name."""
    if not isinstance(call, dict):
        raise Malformed("call", f"a call in {place} is {kind(call)}; expected an object with a name and arguments.")
    inner = next((call[key] for key in ("function", "custom") if isinstance(call.get(key), dict)), call)
    name = inner.get("name")
    if not isinstance(name, str) or not name.strip():
        raise Malformed("call", f"a call in {place} has no name. A call names its tool and its arguments.")
    given = next((inner[key] for key in ARGUMENTS if inner.get(key) is not None), None)
    arguments = given if isinstance(given, str) else as_json({} if given is None else given)
    if unknown is not None:
        for held in (call,) if inner is call else (call, inner):
            for key, value in held.items():
                if key not in _OF_CALL and value is not None:
                    unknown(key, value)
    named = next((call[key] for key in ("id", "call_id", "toolUseId") if call.get(key) is not None), "")
    return ToolCall(name, arguments, str(named))


def said_calls(text: str) -> list[ToolCall]:
    """Calls that a turn of ShareGPT's role `function_call` holds as JSON text; none where it is other text."""
    try:
        return calls_of(text, "the turn", lambda name, value: None)
    except Malformed:
        return []


def tools_of(value: object) -> list[dict[str, Any]] | None:
    """The tools that a row offers, in the form of OpenAI; None for what describes no tools.

    Objects, JSON text of them, or a list of such texts; with or without the wrapper `function`, with `input_schema`
    (Anthropic), under `functionDeclarations` (Gemini) or `toolSpec` (Bedrock).
    """
    if isinstance(value, str):
        try:
            value = json_value(value.encode())
        except Malformed:
            return None
    if isinstance(value, dict):
        value = value["tools"] if isinstance(value.get("tools"), list) else [value]
    if not isinstance(value, list):
        return None
    found: list[dict[str, Any]] = []
    for tool in value:
        if isinstance(tool, str):
            inner = tools_of(tool) if tool.lstrip().startswith(("{", "[")) else None
            if inner is None:
                return None
            found += inner
        elif isinstance(tool, dict):
            declared = tool.get("functionDeclarations", tool.get("function_declarations"))
            found += (tools_of(declared) or []) if isinstance(declared, list) else [_tool(tool)]
        else:
            return None
    return found


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if isinstance(spec := tool.get("toolSpec"), dict):
        schema = spec.get("inputSchema")
        inner = {name: value for name, value in spec.items() if name != "inputSchema"}
        return _tool(inner | ({"parameters": schema.get("json", schema)} if isinstance(schema, dict) else {}))
    if "function" in tool or not isinstance(tool.get("name"), str) or tool.get("type", "function") != "function":
        return tool
    described = {name: value for name, value in tool.items() if name not in ("type", "input_schema")}
    if "input_schema" in tool:
        described["parameters"] = tool["input_schema"]
    return {"type": "function", "function": described}
