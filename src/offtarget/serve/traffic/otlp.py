"""Spans of OpenTelemetry in JSON, as the collector's file exporter writes them: questions to models and their answers.

Read are the names of the GenAI conventions (`gen_ai.input.messages`, `gen_ai.output.messages`) on a span or one of its
events, and the older ones with a number in them (`gen_ai.prompt.0.content`), which many libraries still write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offtarget.records.answers import Role

_NUMBERED = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(role|content|finish_reason)")
_ASKS = frozenset({"chat", "text_completion", "generate_content"})


@dataclass(frozen=True, slots=True)
class Span:
    """A span, as far as it is about a question to a model."""

    id: str
    models: tuple[str, ...]
    """The name that answered, then the one that was asked for."""
    asks: bool
    """Whether it is a question to a model, and not a tool, an agent, or anything else."""
    arm: Role | None
    """Where the span says it itself (`canary.arm`)."""
    conversation: str
    started: float
    """Unix seconds; 0: unknown."""
    ended: float
    first_seconds: float
    failed: bool
    request: Mapping[str, Any] = field(default_factory=dict)
    """As the chat endpoint takes it; empty: the span does not hold it."""
    response: Mapping[str, Any] = field(default_factory=dict)


def spans(value: Mapping[str, Any]) -> Iterator[Span]:
    """The spans of one export, in order; what is none is left out."""
    for resource in _objects(value, "resourceSpans", "resource_spans"):
        for scope in _objects(resource, "scopeSpans", "scope_spans"):
            for span in _objects(scope, "spans"):
                yield _span(span)


def _span(span: Mapping[str, Any]) -> Span:
    attributes = _attributes(span)
    for event in _objects(span, "events"):
        for name, value in _attributes(event).items():
            attributes.setdefault(name, value)
    operation = attributes.get("gen_ai.operation.name")
    named = [attributes.get(f"gen_ai.{which}.model") for which in ("response", "request")]
    models = tuple(name for name in named if isinstance(name, str))
    status = span.get("status")
    said = attributes.get("canary.arm")
    first = attributes.get("gen_ai.response.time_to_first_chunk")
    return Span(
        id=f"{span.get('traceId', span.get('trace_id', ''))}-{span.get('spanId', span.get('span_id', ''))}",
        models=models,
        asks=operation in _ASKS if operation is not None else bool(models),
        arm=said if said in ("base", "tuned") else None,
        conversation=str(attributes.get("gen_ai.conversation.id") or ""),
        started=_unix(span, "startTimeUnixNano", "start_time_unix_nano"),
        ended=_unix(span, "endTimeUnixNano", "end_time_unix_nano"),
        first_seconds=float(first) if isinstance(first, int | float) and 0 <= first < 1e9 else 0.0,
        failed=isinstance(status, dict) and status.get("code") in (2, "STATUS_CODE_ERROR"),
        request=_request(attributes),
        response=_response(attributes),
    )


def _request(attributes: Mapping[str, Any]) -> dict[str, Any]:
    system = _parts(_json(attributes.get("gen_ai.system_instructions")))
    turns = [{"role": "system", "content": system}] if system else []
    for message in _list(_json(attributes.get("gen_ai.input.messages"))):
        turns += _turns(message)
    if len(turns) == len([turn for turn in turns if turn["role"] == "system"]):
        numbered = _numbered(attributes, "prompt")
        turns += [
            {"role": str(one.get("role", "user")), "content": _parts(_json(one.get("content")))} for one in numbered
        ]
    request: dict[str, Any] = {"messages": turns} if turns else {}
    tools = [one for one in _list(_json(attributes.get("gen_ai.tool.definitions"))) if isinstance(one, dict)]
    if request and tools:
        request["tools"] = [
            one if isinstance(one.get("function"), dict) else {"type": "function", "function": one} for one in tools
        ]
    return request


def _turns(message: Any) -> list[dict[str, Any]]:
    """A message in the form of the chat endpoint; results of tools are messages of their own there."""
    if not isinstance(message, dict):
        return []
    turn: dict[str, Any] = {
        "role": str(message.get("role", "user")),
        "content": _parts(message.get("parts", message.get("content"))),
    }
    calls = _calls(message)
    if calls:
        turn["tool_calls"] = calls
    results = [
        {
            "role": "tool",
            "tool_call_id": str(part.get("id", "")),
            "content": _shown(part.get("response", part.get("result"))),
        }
        for part in _list(message.get("parts"))
        if isinstance(part, dict) and part.get("type") == "tool_call_response"
    ]
    return [*([turn] if turn["content"] or calls or not results else []), *results]


def _response(attributes: Mapping[str, Any]) -> dict[str, Any]:
    choices = []
    for index, message in enumerate(_list(_json(attributes.get("gen_ai.output.messages")))):
        if isinstance(message, dict):
            said: dict[str, Any] = {
                "role": "assistant",
                "content": _parts(message.get("parts", message.get("content"))),
            }
            calls = _calls(message)
            if calls:
                said["tool_calls"] = calls
            choices.append({"index": index, "message": said, "finish_reason": _ended(message.get("finish_reason"))})
    if not choices:
        for index, one in enumerate(_numbered(attributes, "completion")):
            said = {"role": "assistant", "content": _parts(_json(one.get("content")))}
            choices.append({"index": index, "message": said, "finish_reason": _ended(one.get("finish_reason"))})
    return {"choices": choices} if choices else {}


def _ended(said: Any) -> str:
    return said if isinstance(said, str) and said else "stop"


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for part in _list(message.get("parts")):
        if isinstance(part, dict) and part.get("type") == "tool_call":
            function = {"name": str(part.get("name", "")), "arguments": _shown(part.get("arguments"))}
            found.append({"id": str(part.get("id", "")), "type": "function", "function": function})
    return found


def _parts(value: Any) -> str:
    """Text of a message: a string, or its parts; reasoning is no part of what was answered."""
    if isinstance(value, str):
        return value
    texts = []
    for part in _list(value):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type", "text") == "text":
            said = part.get("content", part.get("text"))
            if isinstance(said, str):
                texts.append(said)
    return "\n".join(texts)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _numbered(attributes: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        match = _NUMBERED.fullmatch(name)
        if match is not None and match[1] == what:
            found.setdefault(int(match[2]), {})[match[3]] = value
    return [found[number] for number in sorted(found)]


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {
        one["key"]: _value(one.get("value"))
        for one in _objects(holder, "attributes")
        if isinstance(one.get("key"), str)
    }


def _value(value: Any) -> Any:
    """An AnyValue as plain JSON."""
    if not isinstance(value, dict):
        return None
    for kind in ("stringValue", "boolValue", "doubleValue"):
        if kind in value:
            return value[kind]
    if "intValue" in value:
        try:
            return int(value["intValue"])
        except (TypeError, ValueError):
            return None
    if isinstance(value.get("arrayValue"), dict):
        return [_value(one) for one in _list(value["arrayValue"].get("values"))]
    if isinstance(value.get("kvlistValue"), dict):
        pairs = _objects(value["kvlistValue"], "values")
        return {one["key"]: _value(one.get("value")) for one in pairs if isinstance(one.get("key"), str)}
    return None


def _json(value: Any) -> Any:
    """What a text holds, where it is JSON; else the text."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, list | dict) else value


def _unix(span: Mapping[str, Any], *names: str) -> float:
    for name in names:
        try:
            return max(0.0, int(span[name]) / 1e9)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
    return 0.0


def _objects(value: Mapping[str, Any], *names: str) -> Sequence[dict[str, Any]]:
    for name in names:
        if isinstance(value.get(name), list):
            return [one for one in value[name] if isinstance(one, dict)]
    return []


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
