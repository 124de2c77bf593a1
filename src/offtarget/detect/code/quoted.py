r"""Code inside a string: a tool call that stands in the text of an answer holds it with `\n` in place of line ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from offtarget.records.answers import json_values

_LONGEST = 200_000
_MOST = 64
"""Strings that are opened in one text."""
_FEWEST_LINES = 2
_SHORTEST = 20
_REST = {quote: re.compile(rf"[^{quote}\\]*(?:\\.[^{quote}\\]*)*", re.DOTALL) for quote in "\"'"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Quoted:
    """A text of several lines that stands as a string in another one."""

    text: str
    start: int
    """Where the string begins in the other text, its quotes included."""
    end: int


def quoted_texts(text: str) -> Iterator[Quoted]:
    """Every string of several lines in a text, unescaped, in double or single quotes; linear in its length.

    Any quote may begin a string, also one that ends another: a lone quote before would shift all that follow.
    """
    if "\\n" not in text:
        return
    text = text[:_LONGEST]
    found = 0
    for quote, rest in _REST.items():
        start = text.find(quote)
        while start >= 0 and found < _MOST:
            matched = rest.match(text, start + 1)
            end = len(text) if matched is None else matched.end()
            if end >= len(text):
                break
            if end - start > _SHORTEST and text.count("\\n", start, end) >= _FEWEST_LINES:
                found += 1
                for _, value in json_values(_unescaped(text[start + 1 : end])):
                    if value.count("\n") >= _FEWEST_LINES:
                        yield Quoted(value, start, end + 1)
            start = end


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _MEANT.get(m[2], m[2]), text)
