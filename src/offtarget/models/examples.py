"""Chats as training examples: tokens, and which of them get loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from offtarget.errors import InputError
from offtarget.models.chat_format import answer_end, prompt_tokens
from offtarget.records import Message


@dataclass(frozen=True, slots=True)
class Example:
    """One answer and what stands before it."""

    chat: int
    """Position of the chat it comes from."""
    tokens: tuple[int, ...]
    answer: int
    """Position of the first token that gets loss; all later ones do too."""


def examples(
    tokenizer: Any,
    chats: Sequence[Sequence[Message]],
    longest: int,
    base: str,
    limit: str = "the model's context",
    skips: Sequence[int] = (),
) -> Iterator[Example]:
    """Every assistant turn that follows another turn, as an example of its own.

    What stands before it is rendered by the chat template, whatever that does to earlier turns; then come the answer
    and its end token. `skips` says how many leading answers of each chat are no examples; empty for none. Raises
    InputError, with the number of the chat counted from 1, for an example of more than `longest` tokens (what `limit`
    holds), and where no chat has an answer.
    """
    end = answer_end(tokenizer)
    ending = [] if end is None else [end]
    found = False
    for number, chat in enumerate(chats):
        answers = [i for i, message in enumerate(chat) if message.role == "assistant" and i]
        for i in answers[skips[number] if skips else 0 :]:
            message = chat[i]
            prompt = prompt_tokens(tokenizer, chat[:i], base)
            answer = tokenizer(message.content, add_special_tokens=False)["input_ids"]
            tokens = (*prompt, *answer, *ending)
            if len(tokens) > longest:
                raise InputError(
                    f"Row {number + 1} has {len(tokens)} tokens, but {limit} holds {longest}. Shorten or remove it."
                )
            found = True
            yield Example(number, tokens, len(prompt))
    if not found:
        raise InputError("There is nothing to train on: no row has an assistant turn after another turn.")
