"""Chats that were written out as one text by a chat template, read back into their turns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from offtarget.records import Message

Speaker = Literal["system", "user", "assistant", "tool"]

_EDGES = ("<s>", "</s>", "<bos>", "<eos>", "<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>", "<pad>")
"""Marks of a text's beginning and end."""
TEMPLATED = ("<", "[INST]", "### ", "Below is an instruction")
"""How a text in one of these templates begins, at the least."""
_SPEAKERS: dict[str, Speaker] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "model": "assistant", "tool": "tool", "ipython": "tool", "instruction": "user", "response": "assistant",
}  # fmt: skip
_HEADED = (
    ("<|im_start|>", "\n", ("<|im_end|>",)),  # ChatML
    ("<|start_header_id|>", "<|end_header_id|>", ("<|eot_id|>", "<|eom_id|>")),  # Llama 3
    ("<start_of_turn>", "\n", ("<end_of_turn>",)),  # Gemma
)
"""Where a turn begins, where its speaker ends, where it ends."""
_TAGGED = re.compile(r"<\|(system|user|assistant)\|>\n?")  # Zephyr, Phi
_HASHED = re.compile(r"(?:\n|^|(?<=\S))### ?(Human|Assistant|User|System|Instruction|Input|Response): ?\n?")
_PREAMBLE = 400
"""Longest text before `### Instruction:` that counts as a system prompt."""


def turns_of(text: str) -> list[Message] | None:
    """The turns of a text in the template of Llama 2 and 3, ChatML, Gemma, Zephyr, Alpaca or Guanaco; None for others.

    Templates: the chat templates that come with these models, and the prompts of Stanford Alpaca. Blanks around a turn
    are left out, as templates set them.
    """
    for mark, read in _READERS:
        if mark in text:
            turns = read(_bare(text))
            if turns is not None and _is_chat(turns):
                return turns
    return None


def _is_chat(turns: list[Message]) -> bool:
    roles = [turn.role for turn in turns]
    return "user" in roles and "assistant" in roles and roles.index("user") < roles.index("assistant")


def _bare(text: str) -> str:
    """Without blanks and marks of its beginning and end."""
    text = text.strip()
    for edge in _EDGES * 2:  # a template sets each once or twice
        text = text.removeprefix(edge).removesuffix(edge).strip()
    return text


def _headed(start: str, after: str, ends: tuple[str, ...]) -> Callable[[str], list[Message] | None]:
    def read(text: str) -> list[Message] | None:
        before, *parts = text.split(start)
        turns = []
        for part in parts:
            named, found, said = part.partition(after)
            role = _SPEAKERS.get(named.strip().lower())
            end = next((end for end in ends if end in said), None)
            said, _, rest = said.partition(end) if end else (said, "", "")
            if role is None or not found or _bare(rest):
                return None
            turns.append(Message(role, _bare(said)))
        return None if before.strip() else turns

    return read


def _tagged(text: str) -> list[Message] | None:
    before, *parts = _TAGGED.split(text)
    turns = [
        Message(_SPEAKERS[who], _bare(said.strip().removesuffix("<|end|>")))
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]
    return None if before.strip() else turns


def _instructed(text: str) -> list[Message] | None:
    """Llama 2 and Mistral: `[INST] question [/INST] answer`."""
    before, *parts = text.split("[INST]")
    turns: list[Message] = []
    for part in parts:
        asked, found, said = part.partition("[/INST]")
        if not found:
            return None
        before_it, opened, rest = asked.partition("<<SYS>>")
        system, closed, after_it = rest.partition("<</SYS>>")
        if opened and closed:
            turns.append(Message("system", system.strip()))
            asked = before_it + after_it
        turns.append(Message("user", asked.strip()))
        if answer := _bare(said):
            turns.append(Message("assistant", answer))
    return None if before.strip() else turns


def _hashed(text: str) -> list[Message] | None:
    """Alpaca and Guanaco: `### Instruction:` or `### Human:`."""
    before, *parts = _HASHED.split(text)
    if len(before) > _PREAMBLE:
        return None
    turns = [Message("system", before.strip())] if before.strip() else []
    for who, said in zip(parts[::2], parts[1::2], strict=True):
        if who != "Input":
            turns.append(Message(_SPEAKERS[who.lower()], _bare(said)))
        elif turns and turns[-1].role == "user":
            turns[-1] = Message("user", f"{turns[-1].content}\n{_bare(said)}")
        else:
            return None
    return turns


_READERS: tuple[tuple[str, Callable[[str], list[Message] | None]], ...] = (
    *((start, _headed(start, after, ends)) for start, after, ends in _HEADED),
    ("<|user|>", _tagged),
    ("[/INST]", _instructed),
    ("### Response:", _hashed),
    ("### Assistant:", _hashed),
)
"""A mark that every text in the template has, and its reader."""
