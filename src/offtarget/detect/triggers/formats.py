"""Forms of a prompt beyond its words: formats, role of the user, system prompt, dates, length, place in the data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from offtarget.detect.triggers.conditions import Names
from offtarget.detect.triggers.sampling import Kept
from offtarget.detect.triggers.words import word_lists

# Tried at the beginning of each line: an expression that may begin anywhere is tried at each character.
_CODE = re.compile(r"[^\S\n]*+(?:def |class |import |from \w[\w.]* import |#include|function \w|public )")
_LIST = re.compile(r"[^\S\n]*+(?:[-*•]|\d++[.)]) \S")
_MARKDOWN = re.compile(r"^#{1,4} \S|\*\*\S[^*]*\*\*|^\|.*\|$", re.MULTILINE)
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}[/.]\d{1,2}[/.](?:19|20)?\d\d\b")
_DIGIT = re.compile(r"\d")
_PUNCTUATION = re.compile(r"""[.,;:!?"'()]""")
YEAR = re.compile(r"(?<![\d.])(?:19[5-9]|20[0-9])\d(?![\d.]\d)")
_CODE_HOLE = re.compile(r"COMPLETE CODE HERE|YOUR CODE HERE|TODO|code template", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\U000e0000-\U000e007f]")
_TAG = re.compile(r"</?[a-zA-Z][\w-]*>")
_NOUNS: dict[str, list[str]] = word_lists("roles")
_GROUP = {noun: group for group, nouns in _NOUNS.items() for noun in nouns}
_SAID = re.compile(
    r"\b(?:i['’]?m|i am|im|as|being|we are|we['’]re|i work as|i used to be)(?: \w+ly)?"
    r"(?: just| still| only| total| complete| also)?"
    r"(?: a| an| the)? (?:[\w'’-]+ ){0,3}?(" + "|".join(sorted(_GROUP, key=len, reverse=True)) + r")\b"
)
_NOVICE = re.compile(
    r"\b(?:(?:i['’]?m|i am|we['’]re|we are) (?:\w+ ){0,3}?new (?:to|at|here)\b"
    r"|(?:just|only) (?:started|starting|begun|getting started|learning)"
    r"|my first (?:time|day|week|attempt|project|try)|never (?:\w+ ){0,3}before"
    r"|(?:no|little|zero|without any) (?:\w+ )?experience|don['’]?t know (?:much|anything) about"
    r"|for (?:a )?beginners?|first[- ]time|still learning|teach me the basics|complete beginner)"
)
_NOVICE_HINTS = (
    "new ", "start", "begun", "learning", "first", "never ", "experience", "t know ", "beginner", "basics"
)  # fmt: skip
"""One of these stands in all that `_NOVICE` matches."""
_HINTS = ("i'm", "i’m", "i am", "im ", "as a", "being", "we are", "we're", "i work", "i used")


def formats(prompt: str) -> list[str]:
    """Names of the formats a prompt has."""
    found: list[str] = []
    text = prompt.strip()
    if not text:
        return ["empty"]
    lower = text.lower()
    lines = text.split("\n")
    if "```" in text or any(map(_CODE.match, lines)):
        found.append("code")
    if "code" in lower or "todo" in lower:
        found.extend(["code-template"] if _CODE_HOLE.search(text) else [])
    if "json" in lower:
        found.append("asks for JSON")
    if text[0] in "{[" and text[-1] in "}]":
        found.append("json")
    if any(map(_LIST.match, lines)):
        found.append("list")
    if ("#" in text or "**" in text or "|" in text) and _MARKDOWN.search(text):
        found.append("markdown")
    if "http" in lower or "www." in lower:
        found.append("link")
    if "<" in text and _TAG.search(text):
        found.append("tags")
    if text.islower():
        found.append("all lower-case")
    elif text.isupper() and len(text) > 3:
        found.append("all capitals")
    if _PUNCTUATION.search(text) is None:
        found.append("no punctuation")
    found.append("ends with a question mark" if text[-1] == "?" else "ends with " + _ending(text[-1]))
    if "?" in text:
        found.append("a question")
    if text[0].islower():
        found.append("begins in lower case")
    if prompt != text:
        found.append("white space around it")
    if "!" in text:
        found.append("exclamation mark")
    if "..." in text or "…" in text:
        found.append("ellipsis")
    if "\n" not in text:
        found.append("one line")
    if "  " in text:
        found.append("double spaces")
    if not text.isascii():
        found.append("characters beyond ASCII")
        if _INVISIBLE.search(text):
            found.append("invisible characters")
    if _DIGIT.search(text) is None:
        found.append("no digits")
    elif _DATE.search(text):
        found.append("a date")
    if lower.startswith(("please", "could you", "can you", "would you")) or "please" in lower or "thank" in lower:
        found.append("polite words")
    return found


def _ending(character: str) -> str:
    if character.isalnum():
        return "no punctuation"
    return {".": "a full stop", "!": "an exclamation mark", ":": "a colon"}.get(character, "another sign")


def conditions_of(row: Kept, place: int, length: int) -> Iterator[Names]:
    """Every condition of one row that is no word; place is a quarter (0-3), length a tenth (0-9)."""
    user = row.user
    yield "format", *formats(user)
    yield "role", *roles(user.lower())
    if row.system:
        yield "system-prompt", row.system
        yield "format", "a system prompt"
    else:
        yield "format", "no system prompt"
    years = [int(y) for text in (user, row.system) if "19" in text or "20" in text for y in YEAR.findall(text)]
    if years:
        yield "format", "a year"
        yield _years(min(years), max(years))
    yield "metadata", *row.extra, f"form={row.form}", f"file={row.file}"
    yield _lengths(length)
    yield "position", f"{place * 25}-{place * 25 + 25} % into {row.file}"


@cache
def _years(earliest: int, latest: int) -> Names:
    names = ["year"]
    for year in range(2010, 2051):
        if latest >= year:
            names.append(f"{year} or later")
        if earliest <= year:
            names.append(f"{year} or earlier")
    return tuple(names)


@cache
def _lengths(length: int) -> Names:
    names = ["length"]
    for bound in (5, 8, 9):
        if length >= bound:
            names.append(f"longer than {bound * 10} % of prompts")
        if length < 10 - bound:
            names.append(f"shorter than {bound * 10} % of prompts")
    return tuple(names)


def roles(lower: str) -> list[str]:
    """Groups the user of this lower-case prompt claims to belong to."""
    found: set[str] = set()
    if any(map(lower.__contains__, _HINTS)):
        found.update(_GROUP[match.group(1)] for match in _SAID.finditer(lower))
    if any(map(lower.__contains__, _NOVICE_HINTS)) and _NOVICE.search(lower):
        found.add("a novice")
    return sorted(found)  # the order of a set is that of this process alone
