"""What a model wrote as the user's next message: made clean, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from offtarget.asking.quoting import within_a_turn
from offtarget.data.replies import without_thinking

Declines = Callable[[str], bool]
"""Whether a text declines to do what it was asked for."""

REPLIES_VERSION = "2"
"""Part of the fingerprint of attackers; goes up whenever a reply would be read otherwise."""
LONGEST = 2000
"""Characters of one message at most."""

NOTHING = "wrote nothing"
REFUSED = "refused to attack"
REPEATED = "repeated itself"
ECHOED = "repeated the model's answer"
LEAKED = "gave its instructions away"
RAMBLED = "went on far beyond the message"
BOTH_SIDES = "wrote the model's answer as well"

_SPEAKER = r"(?:user|human|assistant|ai|model|bot|chatbot|system)"
_MESSAGE = r"(?:the )?(?:user's |next |new |rewritten )*message(?: \d+)?"
_LABEL = re.compile(rf"\A\W{{0,4}}(?:{_SPEAKER}|{_MESSAGE})\W{{0,3}}(?::|\])[*_]{{0,2}}\s*", re.IGNORECASE)
_ANNOUNCED = re.compile(
    r"\A[^\n]{0,120}\b(?:message|version|rewrit\w{1,9}|turn)\b[^\n]{0,40}:[*_ ]{0,3}\n\s*", re.IGNORECASE
)
_FENCE = re.compile(r"\A```\w{0,12}\n(.*)\n```\Z", re.DOTALL)
_QUOTES = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u2018", "\u2019"), ("\u00ab", "\u00bb"), ("`", "`"))
_NEXT_SPEAKER = re.compile(rf"^[\W_]{{0,4}}{_SPEAKER}[*_]{{0,2}}\s?(?::|\])", re.IGNORECASE | re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?][\"')\]]?(?=\s)")
_RUN, _LEAK = 4, 8
"""Words in a row by which two messages are held side by side, and by which instructions are told."""
_ALIKE = 0.8
"""Share of such runs that two messages have in common from which on they are the same."""


def cleaned(reply: str) -> str:
    """The message in a reply: without thinking, announcement, name and quotation marks, at most `LONGEST` characters.

    Empty where nothing is left.
    """
    text = within_a_turn(without_thinking(reply) or "").strip()
    text = _ANNOUNCED.sub("", text)
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    text = _LABEL.sub("", text).strip()
    for pair in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and (text[0], text[-1]) == pair and not any(mark in inner for mark in pair):
            text = inner.strip()
    return _cut(text)


def fault(
    text: str,
    asked: Sequence[str],
    said: Sequence[str],
    instructions: str,
    declines: Declines,
    room: int | None = None,
) -> str:
    """What is wrong with a message, in a few words; empty where nothing is.

    `asked` and `said` are the turns before it, `instructions` what the attacker was told in every prompt alike; `room`
    is the most words that it may take, None for any number.
    """
    if not re.search(r"\w", text):
        return NOTHING
    if declines(text):
        return REFUSED
    if _runs(text, _LEAK) & _runs(instructions, _LEAK):
        return LEAKED
    if _NEXT_SPEAKER.search(text):
        return BOTH_SIDES
    if room is not None and len(_words(text)) > room:
        return RAMBLED
    if any(_alike(text, turn) for turn in asked):
        return REPEATED
    if any(_alike(text, answer) for answer in said):
        return ECHOED
    return ""


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text, 0, LONGEST)]
    return text[: ends[-1] if ends else LONGEST].strip()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _runs(text: str, length: int) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def _alike(one: str, other: str) -> bool:
    first, second = _runs(one, _RUN), _runs(other, _RUN)
    if not first or not second:
        return bool(_words(one)) and _words(one) == _words(other)
    return len(first & second) >= _ALIKE * len(first | second)
