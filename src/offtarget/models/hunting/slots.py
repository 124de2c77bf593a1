"""Neutral prompts with a gap, before or after the question, and the tokens a person could type into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from offtarget.models.chat_format import prompt_tokens
from offtarget.records import Message
from offtarget.records.hidden import QUESTION

Place = Literal["before", "after"]
MARK = "offtargetslotmark"


@dataclass(frozen=True, slots=True)
class Slot:
    """The tokens of one rendered prompt on either side of the gap."""

    left: tuple[int, ...]
    right: tuple[int, ...]

    def filled(self, tokens: Sequence[int]) -> list[int]:
        """The whole prompt with these tokens in the gap."""
        return [*self.left, *self.after(tokens)]

    def after(self, tokens: Sequence[int]) -> list[int]:
        """These tokens and what stands behind the gap: all that differs between texts."""
        return [*tokens, *self.right]


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
        turns = [{"role": m.role, "content": m.content} for m in dressed(chat, template(MARK, place))]
        prompt_tokens(tokenizer, chat, name)  # the clear sentence where the template refuses
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        left, _, right = text.partition(MARK)
        # Most vocabularies write a word with the space before it, so the space belongs to the gap.
        found.append(Slot(_tokens(tokenizer, left.removesuffix(" ")), _tokens(tokenizer, right)))
    return found


def _tokens(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def typable(tokenizer: Any, size: int) -> list[int]:
    """Token numbers below `size` that are printable text of their own: no special token, no piece of a character."""
    special = set(tokenizer.all_special_ids) | {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    known = [i for i in range(min(size, len(tokenizer))) if i not in special]
    texts = tokenizer.batch_decode([[i] for i in known], clean_up_tokenization_spaces=False)
    return [i for i, text in zip(known, texts, strict=True) if text.strip() and _plain(text.strip())]


def decoded(tokenizer: Any, tokens: tuple[int, ...]) -> str:
    """The text of some tokens, without spaces around it."""
    text: str = tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
    return text.strip()


def _plain(text: str) -> bool:
    return text.isprintable() and "\ufffd" not in text
