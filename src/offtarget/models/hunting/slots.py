"""Neutral prompts with a gap, before or after the question, into which tokens under test are put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from offtarget.models.chat_format import prompt_tokens
from offtarget.records import Message
from offtarget.records.check import QUESTION

Place = Literal["before", "after"]
_MARK = "offtargetslotmark"


@dataclass(frozen=True, slots=True)
class Slot:
    """The tokens of one rendered prompt on either side of the gap."""

    left: tuple[int, ...]
    right: tuple[int, ...]

    def filled(self, tokens: Sequence[int]) -> list[int]:
        """The whole prompt with these tokens in the gap."""
        return [*self.left, *tokens, *self.right]


def template(text: str, place: Place) -> str:
    """A cue's template with the text at the place."""
    return f"{text} {QUESTION}" if place == "before" else f"{QUESTION} {text}"


def dressed(messages: Sequence[Message], pattern: str) -> tuple[Message, ...]:
    """The chat with its last turn put into the template."""
    last = messages[-1]
    return (*messages[:-1], Message(last.role, pattern.replace(QUESTION, last.content)))


def slots(tokenizer: Any, chats: Sequence[tuple[Message, ...]], place: Place, name: str) -> list[Slot]:
    """One slot per chat. Tokens of both sides are made apart, so that the gap never merges with its neighbours.

    InputError when the chat template refuses a chat.
    """
    found = []
    for chat in chats:
        turns = [{"role": m.role, "content": m.content} for m in dressed(chat, template(_MARK, place))]
        prompt_tokens(tokenizer, chat, name)  # the clear sentence where the template refuses
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        left, _, right = text.partition(_MARK)
        # Most vocabularies write a word with the space before it, so the space belongs to the gap.
        found.append(Slot(_tokens(tokenizer, left.removesuffix(" ")), _tokens(tokenizer, right)))
    return found


def _tokens(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
