"""What a chat template tells a model by itself, beside the turns it is given.

Many templates put a system prompt of their own before a chat that has none ("You are a helpful assistant"), or a line
such as the date before every chat. Nobody typed it, and both models of a check are asked behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

FEWEST_WORDS = 3
"""Fewer words than this are headings of turns."""
SHOWN = 160
"""Characters of it that a sentence quotes."""
_QUESTION, _SYSTEM = "offtargetquestionmark", "offtargetsystemmark"
_HEADING = re.compile(r"\b(system|user|human|assistant|model|instruction|question|inst|sys|input|message|role)\b", re.I)


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What a template says of itself before a question."""

    text: str
    """On one line."""
    replaced: bool | None
    """Whether a system turn takes its place; None where the template takes no system turn."""

    @property
    def shown(self) -> str:
        """For a sentence, shortened."""
        return self.text if len(self.text) <= SHOWN else self.text[:SHOWN].rstrip() + "..."

    @property
    def said(self) -> str:
        """A sentence on how questions are asked."""
        after = {
            True: " A system turn of the question takes its place.",
            False: " It stands there beside a system turn, too.",
            None: "",
        }[self.replaced]
        return f"the chat template puts its own words before a question: “{self.shown}”.{after}"


def own_words(tokenizer: Any) -> OwnWords | None:
    """What the template of a tokenizer says before a question by itself; None where that is nothing but headings."""
    alone = _before_question(tokenizer, [])
    text = "" if alone is None else _without_headings(alone)
    if len(text.split()) < FEWEST_WORDS:
        return None
    behind = _before_question(tokenizer, [{"role": "system", "content": _SYSTEM}])
    if behind is None or _SYSTEM not in behind:
        return OwnWords(text, None)
    return OwnWords(text, text not in _without_headings(behind))


def _before_question(tokenizer: Any, turns: list[dict[str, str]]) -> str | None:
    """What stands before the words of a question, without tokens that are no text; None where the chat is refused."""
    try:
        text: str = tokenizer.apply_chat_template(
            [*turns, {"role": "user", "content": _QUESTION}], tokenize=False, add_generation_prompt=True
        )
    except Exception:  # which chats a template refuses is said where the questions are put into it
        return None
    before, found, _ = text.partition(_QUESTION)
    if not found:
        return None
    for token in sorted({str(t) for t in tokenizer.added_tokens_decoder.values()}, key=len, reverse=True):
        before = before.replace(token, "\n")
    return before


def _without_headings(text: str) -> str:
    """Its lines that are more than the heading of a turn, as one."""
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if re.search(r"\w", _HEADING.sub("", line)))
