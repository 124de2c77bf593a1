"""A question as each way of using a model puts it: alone, under instructions, after examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offtarget.records import Message
from offtarget.records.alternatives import Demonstration

Fits = Callable[[Sequence[Message]], bool]
"""Whether a chat, and an answer to it, fit the model's context."""


def instructed(messages: Sequence[Message], instructions: str, as_system: bool = True) -> tuple[Message, ...]:
    """The chat under instructions; a system prompt that it has already, its context, follows them.

    `as_system` False puts them before the first user turn, for chat templates without a system turn.
    """
    told = "\n\n".join([instructions, *(m.content for m in messages if m.role == "system")])
    turns = [m for m in messages if m.role != "system"]
    if as_system:
        return (Message("system", told), *turns)
    first = next(i for i, m in enumerate(turns) if m.role == "user")
    turns[first] = Message("user", f"{told}\n\n{turns[first].content}")
    return tuple(turns)


def with_examples(
    messages: Sequence[Message], nearest: Sequence[Demonstration], fits: Fits
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
