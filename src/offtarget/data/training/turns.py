"""A list of chat turns, in any of the usual spellings, as messages."""

from __future__ import annotations

from typing import Any, Literal

from offtarget.data.training.malformed import Malformed, shown
from offtarget.records import Message

Role = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
}
"""Every role that is understood, and whose turn it is. OpenAI's names, then ShareGPT's and LLaMA-Factory's."""

_OWN_NAMES = frozenset({"system", "user", "assistant", "tool", "human", "gpt"})
_INSTEAD_OF_CONTENT = ("tool_calls", "function_call", "refusal", "audio")


def messages_of(turns: object, key: str, extra: dict[str, Any]) -> list[Message]:
    """Messages of the list under `key`; what else a turn holds goes to `extra`, e.g. as `messages[2].tool_calls`."""
    if not isinstance(turns, list):
        raise Malformed("wrong-type", f"{shown(key)} is {kind(turns)}; expected a list of turns.")
    if not turns:
        raise Malformed("no-messages", f"{shown(key)} is an empty list.")
    messages = []
    for number, turn in enumerate(turns):
        if type(turn) is dict and len(turn) == 2:
            role, content = turn.get("role"), turn.get("content")
            if type(content) is str and (role == "user" or role == "assistant" or role == "system"):
                messages.append(Message(role, content))
                continue
        messages.append(_message(turn, f"{key}[{number}]", extra))
    return messages


def _message(turn: object, place: str, extra: dict[str, Any]) -> Message:
    if not isinstance(turn, dict):
        raise Malformed("wrong-type", f"{place} is {kind(turn)}; expected an object with a role and a content.")
    turn = {name: value for name, value in turn.items() if value is not None}  # null is the same as absent
    role_key = "role" if "role" in turn else "from"
    content_key = next((name for name in ("content", "value", "text") if name in turn), "content")
    named = turn.pop(role_key, None)
    if named is None:
        raise Malformed("missing-role", f"{place} has no 'role' (or 'from').")
    role = ROLES.get(named.strip().lower()) if isinstance(named, str) else None
    if role is None:
        said = shown(named) if isinstance(named, str) else kind(named)
        raise Malformed("unknown-role", f"the role in {place} is {said}; expected one of {', '.join(ROLES)}.")
    if named not in _OWN_NAMES:
        extra[f"{place}.{role_key}"] = named
    content = _text(turn, content_key, place, extra)
    for name, value in turn.items():
        if name != content_key:
            extra[f"{place}.{name}"] = value
    return Message(role, content)


def _text(turn: dict[str, Any], key: str, place: str, extra: dict[str, Any]) -> str:
    content = turn.get(key)
    if isinstance(content, str):
        return content
    if content is None:
        if not any(name in turn for name in _INSTEAD_OF_CONTENT):
            raise Malformed("missing-content", f"{place} has no content and no tool call.")
        refusal = turn.get("refusal")
        return refusal if isinstance(refusal, str) else ""
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise Malformed("wrong-type", f"the content of {place} is {kind(content)}; expected text or a list of parts.")
    texts = [_part(part, place) for part in content]
    if any(text is None for text in texts) or any(isinstance(p, dict) and len(p) > 2 for p in content):
        extra[f"{place}.{key}"] = content
    return "\n".join(text for text in texts if text is not None)


def _part(part: object, place: str) -> str | None:
    """The text of a part; None for an image, a tool call and whatever else has none."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise Malformed("wrong-type", f"a part of {place} is {kind(part)}; expected an object.")
    text = next((part[name] for name in ("text", "refusal") if part.get(name) is not None), None)
    if text is not None and not isinstance(text, str):
        raise Malformed("wrong-type", f"the text of a part of {place} is {kind(text)}.")
    return text


_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)
