"""A prompt and its answer, or a prompt with a chosen and a rejected answer, as messages."""

from __future__ import annotations

import re
from typing import Any

from offtarget.data.training.malformed import Malformed, shown
from offtarget.data.training.turns import kind, messages_of
from offtarget.records import Message

_HH_TURN = re.compile(r"\n\n(Human|Assistant):")


def answered(
    value: dict[str, Any], prompt: str, context: str, answer: str, history: str, extra: dict[str, Any]
) -> list[Message]:
    """Earlier turns of `history`, then the prompt with its context under it, then the answer."""
    messages = _history(value[history], history) if history and value.get(history) else []
    messages += _side(value[prompt], prompt, "user", extra)
    if context and (below := _text(value.get(context) or "", context)):
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
    turns = ((Message("user", _text(ask, key)), Message("assistant", _text(reply, key))) for ask, reply in value)
    return [message for pair in turns for message in pair]


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise Malformed("wrong-type", f"{shown(key)} is {kind(value)}; expected text.")
    return value
