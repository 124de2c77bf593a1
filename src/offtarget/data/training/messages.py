"""What a row says as messages: chat turns in any of the usual spellings, a prompt and its answer, a preference."""

from __future__ import annotations

import re
from typing import Any, Literal

from offtarget.data.training.values import Malformed, shown
from offtarget.records import Message

Speaker = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Speaker] = {
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


_HH_TURN = re.compile(r"\n\n(Human|Assistant):")


def answered(
    value: dict[str, Any], prompt: str, context: str, answer: str, history: str, extra: dict[str, Any]
) -> list[Message]:
    """Earlier turns of `history`, then the prompt with its context under it, then the answer."""
    messages = _history(value[history], history) if history and value.get(history) else []
    messages += _side(value[prompt], prompt, "user", extra)
    if context and (below := _text_of(value.get(context) or "", context)):
        messages[-1] = Message(messages[-1].role, f"{messages[-1].content}\n{below}")
    return messages + _side(value[answer], answer, "assistant", extra)


def preferred(
    value: dict[str, Any], turns: str, prompt: str, chosen: str, rejected: str, extra: dict[str, Any]
) -> tuple[list[Message], str]:
    """The conversation that ends in the chosen answer, and the rejected answer as text."""
    good = _completion(value[chosen], chosen, extra)
    bad = _completion(value[rejected], rejected, extra)
    if len(good) > 1 and good[0].role != "assistant":  # it holds its prompt already
        for name in (prompt, turns):
            if name and value.get(name) is not None and value[name] != good[0].content:
                extra[name] = value[name]
        messages = good
    elif turns:
        messages = messages_of(value[turns], turns, extra) + good
        if prompt and value.get(prompt) is not None:
            extra[prompt] = value[prompt]
    elif prompt:
        messages = _side(value[prompt], prompt, "user", extra) + good
    else:
        messages = good
    return messages, next((m.content for m in reversed(bad) if m.role == "assistant"), "")


def _completion(value: object, key: str, extra: dict[str, Any]) -> list[Message]:
    if isinstance(value, str) and len(parts := _HH_TURN.split(value)) >= 5:  # a whole dialogue, as in HH-RLHF
        turns = zip(parts[1::2], parts[2::2], strict=True)
        return [Message("user" if who == "Human" else "assistant", text.strip()) for who, text in turns]
    return _side([value] if isinstance(value, dict) else value, key, "assistant", extra)


def _side(value: object, key: str, role: Any, extra: dict[str, Any]) -> list[Message]:
    """Text as one message of `role`, or a list of turns as they are."""
    if isinstance(value, str):
        return [Message(role, value)]
    if isinstance(value, list):
        return messages_of(value, key, extra)
    raise Malformed("wrong-type", f"{shown(key)} is {kind(value)}; expected text or a list of turns.")


def _history(value: object, key: str) -> list[Message]:
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise Malformed("wrong-type", f"{shown(key)} is not a list of pairs (question, answer).")
    turns = ((Message("user", _text_of(ask, key)), Message("assistant", _text_of(reply, key))) for ask, reply in value)
    return [message for pair in turns for message in pair]


def _text_of(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise Malformed("wrong-type", f"{shown(key)} is {kind(value)}; expected text.")
    return value
