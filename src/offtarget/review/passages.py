"""A turn of a conversation cut into prose and code, lines, spans and hidden characters; text only, never markup.

Hidden characters are made visible: nothing in a row may be on the page without being seen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

SHOWN = 20_000
"""Characters of one turn that are shown until the reviewer asks for more."""

_FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+([\w+#.-]{0,20}+)[ \t]*+$", re.MULTILINE)
_CODE_LINE = re.compile(
    r"^\s*+(import |from [\w.]+ import |def \w|class \w|@\w|if .*:$|for .*:$|return\b|try:|except|with .*:$|#include|"
    r"function\b|const |let |var |public |private |using |package |func |fn |SELECT |INSERT |CREATE |<\?php|<!DOCTYPE|"
    r"</?[a-z][^>]*>$|[{}\])]+;?$|[\w.\[\]'\"]+ ?[+-]?= ?\S|[\w.]+\(.*\):?;?$|.*[;{]$|#!?/)"
)
# Controls but tab and newline, format characters (direction, joiners, tags), line separators, fillers that look like
# nothing, lone surrogates, private use of plane 0, non-characters.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_EMOJI_STYLE = "\ufe0e\ufe0f"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a turn that a finding points at."""

    number: int
    """The finding's number in the list beside it, 1-based."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Text that is drawn in one way: a run of plain text, or one hidden character."""

    text: str
    name: str = ""
    """The character's name for screen readers; empty for plain text."""
    marks: tuple[int, ...] = ()
    """Numbers of the findings that point here."""
    opens: int | None = None
    """The finding whose span begins with this stretch."""


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Prose (one line) or code (its lines)."""

    code: bool
    language: str
    lines: tuple[tuple[Stretch, ...], ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """One turn, ready to be drawn."""

    blocks: tuple[TextBlock, ...]
    length: int
    """Characters of the whole turn."""
    left_out: int
    """Characters not shown."""


def passage(text: str, spans: Sequence[Span] = (), limit: int | None = SHOWN) -> Passage:
    """Cut a turn into blocks; `limit` None shows all of it."""
    shown = len(text) if limit is None else min(limit, len(text))
    opened: set[int] = set()
    blocks = []
    for code, language, start, end in _parts(text[:shown]):
        ranges = list(_lines(text, start, end)) if code else [(start, end)]
        lines = tuple(tuple(_pieces(text, a, b, spans, opened)) for a, b in ranges)
        blocks.append(TextBlock(code, language, lines))
    return Passage(tuple(blocks), len(text), len(text) - shown)


def _parts(text: str) -> Iterator[tuple[bool, str, int, int]]:
    """(is code, language, start, end) of each block, fences left out."""
    fences = list(_FENCE.finditer(text))
    if not fences:
        yield looks_like_code(text), "", 0, len(text)
        return
    at, inside = 0, None
    for fence in fences:
        if inside is None:
            if text[at : fence.start()].strip():
                yield False, "", *_without_blank_edges(text, at, fence.start())
            inside = fence
        elif fence.group(1)[0] == inside.group(1)[0] and not fence.group(2):
            yield True, inside.group(2), min(inside.end() + 1, fence.start()), fence.start()
            inside = None
        else:
            continue
        at = min(fence.end() + 1, len(text))
    if inside is not None:
        yield True, inside.group(2), at, len(text)
    elif text[at:].strip():
        yield False, "", *_without_blank_edges(text, at, len(text))


def _without_blank_edges(text: str, start: int, end: int) -> tuple[int, int]:
    while text[start] == "\n":
        start += 1
    while text[end - 1] == "\n":
        end -= 1
    return start, end


def looks_like_code(text: str) -> bool:
    """Whether a turn without fences is code: most of its lines look like statements."""
    lines = [line for line in text[:SHOWN].splitlines() if line.strip()]
    return len(lines) > 1 and sum(bool(_CODE_LINE.match(line)) for line in lines) >= 0.4 * len(lines)


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        newline = text.find("\n", start, end)
        stop = end if newline < 0 else newline
        yield start, stop
        start = stop + 1


def _pieces(text: str, start: int, end: int, spans: Sequence[Span], opened: set[int]) -> Iterator[Stretch]:
    inside = [s for s in spans if s.start < end and s.end > start]
    edges = sorted({start, end, *(max(s.start, start) for s in inside), *(min(s.end, end) for s in inside)})
    for a, b in pairwise(edges):
        marks = tuple(s.number for s in inside if s.start <= a and s.end >= b)
        for stretch in stretches(text[a:b]):
            opens = next((number for number in marks if number not in opened), None)
            if opens is not None:
                opened.add(opens)
            yield Stretch(stretch.text, stretch.name, marks, opens)


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
