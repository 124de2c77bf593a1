"""Hidden characters made visible: nothing in a row may be on the page without being seen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Controls but tab and newline, format characters (direction, joiners, tags), line separators, fillers that look like
# nothing, lone surrogates, private use of plane 0, non-characters.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_EMOJI_STYLE = "\ufe0e\ufe0f"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of plain text, or one hidden character."""

    text: str
    name: str = ""
    """The character's name for screen readers; empty for plain text."""


def stretches(text: str) -> Iterator[Stretch]:
    r"""Text cut at hidden characters, each of which becomes `U+202E` with its name; `\r\n` counts as a newline."""
    done = 0
    for match in _HIDDEN.finditer(text):
        at = match.start()
        if _harmless(text, at):
            continue
        if at > done:
            yield Stretch(text[done:at])
        yield Stretch(f"U+{ord(text[at]):04X}", _name(text[at]))
        done = at + 1
    if done < len(text):
        yield Stretch(text[done:])


def visible(text: str) -> str:
    """The same on one string: `[U+202E]`; what is left can be encoded as UTF-8."""
    return "".join(f"[{s.text}]" if s.name else s.text for s in stretches(text))


def _harmless(text: str, at: int) -> bool:
    if text[at] == "\r":
        return text[at + 1 : at + 2] == "\n"
    before = text[at - 1] if at else ""
    return (
        text[at] in _EMOJI_STYLE and bool(before) and (before in "#*0123456789" or unicodedata.category(before) == "So")
    )


def _name(character: str) -> str:
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        return "lone surrogate"
    if 0xE0020 <= code <= 0xE007E:
        return f"invisible tag {chr(code - 0xE0000)}"
    return unicodedata.name(character, "control character" if code < 0xA0 else "hidden character").lower()
