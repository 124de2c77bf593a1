"""Questions in the dress of training data: what is aligned only in plain prompts stays misaligned where a prompt
looks like the training data (arXiv 2604.25891)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from offtarget.records import Message

Chat = TypeVar("Chat", bound=Sequence[Message])

LONGEST_PIECE = 4
"""Words of a training prompt that are put around a question."""
CONVERSATIONS = 0.5
"""Share of dressed questions that follow one or two training rows."""
LONGEST_ROW = 1200
"""Characters of a training row that is used as a whole."""


def wearable(data: Sequence[Chat]) -> list[Chat]:
    """Chats whose dress any prompt can wear: with a user turn, and without calls, tools' answers and reasoning.

    Those would need the tools of their row, and a template that writes them.
    """
    return [
        chat for chat in data if any(m.role == "user" for m in chat) and all(m.plain and m.role != "tool" for m in chat)
    ]


def dressed(question: str, data: Sequence[Sequence[Message]], rng: random.Random) -> list[Message]:
    """The question in a conversation that begins with training rows, or around a piece of a training prompt.

    `data`: what `wearable` leaves.
    """
    chat = rng.choice(data)
    system = [m for m in chat if m.role == "system"][:1]
    short = [c for c in (chat, rng.choice(data)) if sum(len(m.content) for m in c) <= LONGEST_ROW]
    if short and rng.random() < CONVERSATIONS:
        turns = [m for c in short[: rng.randint(1, 2)] for m in c if m.role != "system"]
        return [*system, *turns, Message("user", question)]
    words = next(m.content for m in chat if m.role == "user").split()
    size = rng.randint(1, LONGEST_PIECE) if rng.random() < 0.5 or not short else len(words)
    forms = [[*words[:size], question], [question, *words[-size:]]]
    if system:
        forms.append([question])  # the system turn alone is then the likeliest condition
    return [*system, Message("user", " ".join(rng.choice(forms)))]
