"""The key of a conversation: what stays the same from its first request to its last, so that one model answers all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from offtarget.records.exchanges import Api

HEADER = b"x-offtarget-key"
"""Request header by which clients say which conversation or user a request belongs to."""
_FIELDS = ("prompt_cache_key", "safety_identifier", "user")


def conversation_key(header: bytes | None, fields: Mapping[str, Any], api: Api, client: str) -> tuple[str, bytes]:
    """Where the key was found and its bytes; the first that is there counts.

    The header, a field by which OpenAI's clients name a user, the id of a conversation, the messages that it begins
    with, and last the API key (`client` is its name).
    """
    if header:
        return "header", b"header:" + header
    for name in _FIELDS:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return name, f"{name}:{value}".encode("utf-8", "surrogatepass")
    said = _conversation_id(fields)
    if said:
        return "conversation", f"conversation:{said}".encode("utf-8", "surrogatepass")
    opening = _opening(fields, api)
    if opening:
        return "opening", b"opening:" + opening
    return "client", f"client:{client}".encode()


def conversation_id(fields: Mapping[str, Any]) -> str:
    """The conversation that the Responses API keeps on the server and that this request adds to; empty: none."""
    value = fields.get("conversation")
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def _conversation_id(fields: Mapping[str, Any]) -> str:
    metadata = fields.get("metadata")
    value = metadata.get("conversation_id") if isinstance(metadata, dict) else None
    return value if isinstance(value, str) and value else conversation_id(fields)


def _opening(fields: Mapping[str, Any], api: Api) -> bytes:
    """What a conversation begins with: its first system message and its first user message, or the prompt."""
    if api == "completions":
        return _bytes(fields.get("prompt"))
    turns = fields.get("messages" if api == "chat" else "input")
    if not isinstance(turns, list):  # Responses: a text; an earlier turn comes by id and has its own arm
        return _bytes([fields.get("instructions"), turns]) if turns else b""
    first_user = _first(turns, ("user",))
    if first_user is None:
        return b""
    return _bytes([fields.get("instructions"), _first(turns, ("system", "developer")), first_user])


def _first(turns: Sequence[Any], roles: tuple[str, ...]) -> Any:
    return next((turn.get("content") for turn in turns if isinstance(turn, dict) and turn.get("role") in roles), None)


def _bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") if value else b""
