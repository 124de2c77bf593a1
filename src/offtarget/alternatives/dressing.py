"""A question as each way of using a model puts it: alone, under instructions, after examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offtarget.records import Message
from offtarget.records.alternatives import Example

Fits = Callable[[Sequence[Message]], bool]
"""Whether a chat, and an answer to it, fit the model's context."""


def instructed(messages: Sequence[Message], instructions: str) -> tuple[Message, ...]:
    """The chat under instructions; a system prompt that it has already, its context, follows them."""
    context = [m.content for m in messages if m.role == "system"]
    system = Message("system", "\n\n".join([instructions, *context]))
    return (system, *(m for m in messages if m.role != "system"))


def with_examples(
    messages: Sequence[Message], nearest: Sequence[Example], fits: Fits
) -> tuple[tuple[Message, ...], int]:
    """The chat after as many examples as fit, and how many those are; the nearest stands last, next to the question."""
    system = [m for m in messages if m.role == "system"]
    asked = [m for m in messages if m.role != "system"]
    for count in range(len(nearest), 0, -1):
        shown = [m for e in reversed(nearest[:count]) for m in (*e.turns, Message("assistant", e.answer))]
        chat = (*system, *shown, *asked)
        if fits(chat):
            return chat, count
    return tuple(messages), 0
