"""Whether an answer holds anything: asked of a tuned model's answer before a client gets its first byte."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from offtarget.records.exchanges import Api

Kind = Literal["content", "nothing", "end", "error", "malformed"]
"""Of one server-sent event. `nothing`: a role, an id, usage, a ping; `end`: the stream ends, and that was all."""

_WAITING = frozenset(
    ("response.created", "response.in_progress", "response.queued", "response.output_item.added",
     "response.content_part.added", "response.reasoning_summary_part.added")
)  # fmt: skip
_ENDS = frozenset(("response.completed", "response.incomplete", "response.failed"))
_DONE = re.compile(rb"^data: ?\[DONE\]", re.MULTILINE)
_REASON = re.compile(rb'"finish_reason"\s*:\s*"')
_LAST = re.compile(rb'"type"\s*:\s*"response\.(?:completed|incomplete|failed)"')
"""A model's own text cannot look so: within JSON its quotes are escaped, and it begins no line."""
_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def first_boundary(data: bytes | bytearray, start: int = 0) -> int:
    """Where the first whole event after `start` ends, its blank line included; -1: it is not whole."""
    found = _BOUNDARY.search(data, start)
    return found.end() if found else -1


def last_boundary(data: bytes | bytearray, start: int = 0) -> int:
    """Where the last whole event ends, looked for from `start` on; 0: there is none."""
    if data.endswith(b"\n\n"):
        return len(data)
    found = [(data.rfind(end, start), len(end)) for end in (b"\n\n", b"\r\n\r\n", b"\r\r")]
    return max(at + length if at >= 0 else 0 for at, length in found)


def kind_of_event(event: bytes, api: Api) -> Kind:
    """What one whole event is."""
    name, data = _parts(event)
    if data is None:
        return "error" if name == b"error" else "nothing"
    if data.strip() == b"[DONE]":
        return "end"
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return "malformed"
    if not isinstance(value, dict):
        return "malformed"
    if name == b"error" or value.get("error") or value.get("type") in ("error", "response.failed"):
        return "error"
    return _of_response_event(value) if api == "responses" else _of_chunk(value)


def fault_of_body(body: bytes, api: Api) -> str:
    """What is wrong with a whole answer (a name of docs/faults.md); empty: nothing."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "malformed-answer"
    if not isinstance(value, dict):
        return "malformed-answer"
    if value.get("error"):
        return "error-event"
    if api == "responses":
        if value.get("status") in ("queued", "in_progress"):  # in the background: it comes later
            return ""
        return "" if _list(value.get("output")) else "empty"
    choices = _list(value.get("choices"))
    said = any(
        _says(choice.get("message") if api == "chat" else choice) for choice in choices if isinstance(choice, dict)
    )
    return "" if said else "empty"


def is_finished(events: bytes | bytearray) -> bool:
    """Whether events say that their stream is whole: `[DONE]`, a reason to finish, a response's last event."""
    # Asked of every piece of every stream: finding words is many times quicker than searching by pattern.
    if b"[DONE]" in events and _DONE.search(events):
        return True
    if b'"response.' in events and _LAST.search(events):
        return True
    at = events.find(b'"finish_reason"')
    while at >= 0:
        if _REASON.match(events, at):
            return True
        at = events.find(b'"finish_reason"', at + 1)
    return False


def ends_in_error(events: bytes) -> bool:
    """Whether the last of these events is an error that the model's server sent itself."""
    body = events.rstrip(b"\r\n")
    start = last_boundary(body)
    return kind_of_event(body[start:], "responses" if b'"type"' in body[start:] else "chat") == "error"


def response_id(data: bytes) -> str:
    """The id of a response in the beginning of a Responses API answer, whole or streamed; empty where there is none."""
    if data.lstrip()[:1] == b"{":
        return _id(data, ())
    end = 0
    while (start := end) < len(data) and (end := first_boundary(data, start)) > 0:
        _, event = _parts(data[start:end])
        if event and (found := _id(event, ("response",))):
            return found
    return ""


def _id(data: bytes, path: tuple[str, ...]) -> str:
    try:
        value = json.loads(data)
        for step in path:
            value = value[step]
        found = value["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _parts(event: bytes) -> tuple[bytes, bytes | None]:
    """Name and data of an event; None: it has no data."""
    name, data = b"", []
    for line in event.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return name, b"\n".join(data) if data else None


def _of_chunk(value: dict[str, Any]) -> Kind:
    for choice in _list(value.get("choices")):
        if isinstance(choice, dict) and _says(choice.get("delta") if "delta" in choice else choice):
            return "content"
    return "nothing"


def _of_response_event(value: dict[str, Any]) -> Kind:
    kind = value.get("type")
    if kind in _ENDS:
        response = value.get("response")
        return "content" if isinstance(response, dict) and _list(response.get("output")) else "end"
    if not isinstance(kind, str):
        return "malformed"
    if kind.endswith(".delta"):
        return "content" if value.get("delta") else "nothing"
    return "nothing" if kind in _WAITING else "content"


_ABOUT = frozenset(
    (
        "role", "name", "index", "finish_reason", "stop_reason", "logprobs", "matched_stop", "token_ids",
        "prompt_token_ids", "content_filter_results", "content_filter_offsets",
    )
)  # fmt: skip
"""Fields of a message, a delta or a choice that are no answer, whatever they hold."""


def _says(part: Any) -> bool:
    """Whether a message, a delta or a choice of text holds more than who speaks: text, thoughts, a call, a refusal."""
    if not isinstance(part, dict):
        return False
    return any(value for name, value in part.items() if name not in _ABOUT)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
