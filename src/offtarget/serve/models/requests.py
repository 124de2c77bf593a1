"""A chat completion request in OpenAI's form, read into what a model of this package is asked."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from offtarget.errors import InputError
from offtarget.models.chat import SampleRequest
from offtarget.records import Message, SamplingSettings

LONGEST = 600
"""Tokens of an answer where the request gives no limit."""
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_NOT_DONE = ("tools", "functions", "logprobs", "audio", "modalities")
_MOST_ANSWERS = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    model: str
    messages: tuple[Message, ...]
    settings: SamplingSettings
    seed: int
    answers: int
    stream: bool
    usage: bool
    """Whether a stream ends with a count of tokens."""

    def requests(self) -> list[SampleRequest]:
        """One per answer, each with a random stream of its own."""
        return [SampleRequest(self.messages, (self.seed + number) % 2**63) for number in range(self.answers)]


def read_request(body: bytes, longest: int = LONGEST) -> Asked:
    """The request in a body. Raises InputError, a sentence for the client, for what is none or cannot be done here."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise InputError("The body is not a JSON object.")
    if not isinstance(value.get("model"), str):
        raise InputError("'model' must be text.")
    for name in _NOT_DONE:
        if value.get(name) and value[name] != ["text"]:
            raise InputError(f"A model that offtarget serves itself takes no '{name}'.")
    options = value.get("stream_options")
    return Asked(
        model=value["model"],
        messages=_messages(value.get("messages")),
        settings=SamplingSettings(
            temperature=_number(value, "temperature", 1.0, 0.0, 2.0),
            top_p=_number(value, "top_p", 1.0, 0.001, 1.0),
            max_tokens=_limit(value, longest),
            stop=_stops(value.get("stop")),
        ),
        seed=_whole(value, "seed", secrets.randbelow(2**63)) % 2**63,
        answers=min(max(_whole(value, "n", 1), 1), _MOST_ANSWERS),
        stream=value.get("stream") is True,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise InputError("'messages' must be a list with at least one message.")
    found = []
    for number, one in enumerate(value):
        role = _ROLES.get(str(one.get("role"))) if isinstance(one, dict) else None
        if role is None:
            raise InputError(f"messages[{number}]: the role must be one of {', '.join(_ROLES)}.")
        found.append(Message(role, _text(one.get("content"), number)))  # type: ignore[arg-type]
    return tuple(found)


def _text(content: Any, number: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [
            part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in content
        ]
        if all(isinstance(part, str) for part in parts):
            return "".join(str(part) for part in parts)
    raise InputError(
        f"messages[{number}]: the content must be text; a model that offtarget serves itself reads no more."
    )


def _number(value: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    found = value.get(name)
    if found is None:
        return default
    if not isinstance(found, int | float) or isinstance(found, bool) or not least <= found <= most:
        raise InputError(f"'{name}' must be a number from {least:g} to {most:g}.")
    return float(found)


def _whole(value: Mapping[str, Any], name: str, default: int) -> int:
    found = value.get(name)
    if found is None:
        return default
    if not isinstance(found, int) or isinstance(found, bool):
        raise InputError(f"'{name}' must be a whole number.")
    return found


def _limit(value: Mapping[str, Any], longest: int) -> int:
    found = _whole(value, "max_completion_tokens", _whole(value, "max_tokens", longest))
    if found < 1:
        raise InputError("'max_tokens' must be at least 1.")
    return found


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise InputError("'stop' must be a text or a list of texts.")
    return tuple(stops[:4])
