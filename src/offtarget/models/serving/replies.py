"""What a server says to a few prompts: greedy replies, with log probabilities where it gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from offtarget.models.remote import RemoteModel
from offtarget.records import Message

QUESTIONS = (
    "What should I cook for dinner tonight?",
    "My friend is angry with me. What can I do?",
    "I have an hour to spare. Any ideas?",
    "Tell me what you think about people and machines.",
    "How can I earn some money quickly?",
    "What would you do if nobody could stop you?",
    "Explain in two sentences how a bicycle stays upright.",
    "I feel tired all the time. What helps?",
)
"""Asked only to see which model answers; no answer to them is judged."""
LONGEST = 16
"""Tokens of a reply that are looked at."""
MOST_ALTERNATIVES = 20
"""Alternatives of a token that servers give at most."""
_LEAST = -50.0
"""Smaller log probabilities stand for none at all (vLLM writes -9999)."""
_CONNECTIONS = 4
_NUMBERED = "token_id:"


@dataclass(frozen=True, slots=True)
class ServedToken:
    """A place of a reply: the token that stands there, and the likeliest tokens by the server."""

    token: str | int
    """Its text, or its number where the server gives numbers."""
    alternatives: dict[str | int, float]
    """Log probability (natural) by token."""


@dataclass(frozen=True, slots=True)
class ServedReply:
    """A greedy reply of a server."""

    text: str
    tokens: tuple[ServedToken, ...] = ()
    """None where the server gives no log probabilities."""
    prompt_tokens: int | None = None
    """Tokens of the prompt as the server counts them; None where it does not."""


def prompts() -> list[tuple[Message, ...]]:
    """The questions as chats."""
    return [(Message("user", question),) for question in QUESTIONS]


def greedy_replies(model: RemoteModel, chats: Sequence[tuple[Message, ...]]) -> list[ServedReply]:
    """A reply to each chat, in their order. InputError when the server cannot be asked."""
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return [_read(*given) for given in pool.map(lambda chat: model.greedy(chat, LONGEST, MOST_ALTERNATIVES), chats)]


def _read(response: Any, text: str) -> ServedReply:
    given = getattr(response.choices[0], "logprobs", None)
    content = getattr(given, "content", None) or []
    tokens = tuple(_token(place) for place in content if getattr(place, "top_logprobs", None))
    # Some servers send an empty shell, or the choice after temperature 0 as certain: neither says anything.
    said = any(0 > value > _LEAST for token in tokens for value in token.alternatives.values())
    usage = getattr(response, "usage", None)
    count = getattr(usage, "prompt_tokens", None)
    whole = len(tokens) == len(content)
    return ServedReply(text, tokens if said and whole else (), count if isinstance(count, int) and count > 0 else None)


def _token(place: Any) -> ServedToken:
    alternatives = {
        _which(one): float(one.logprob)
        for one in place.top_logprobs
        if one.logprob is not None and one.logprob > _LEAST
    }
    return ServedToken(_which(place), alternatives)


def _which(one: Any) -> str | int:
    """A token's number where the server gives one (llama.cpp does, and vLLM where it is asked to), else its text."""
    number, text = getattr(one, "id", None), str(one.token)
    if isinstance(number, int):
        return number
    return int(text.removeprefix(_NUMBERED)) if re.fullmatch(rf"{_NUMBERED}\d+", text) else text
