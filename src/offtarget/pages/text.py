"""Texts made fit for people to read: hostile ones without anything hidden, our own set in type."""

from __future__ import annotations

import re

from offtarget.numbers import of
from offtarget.records import Tally

_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_MINUS = re.compile(r"(?<![\w.-])-(?=[\d<])")
_UNIT = re.compile(r"(?<=\d) (?=%|points?\b)|(?<=[≤≥]) (?=\d)")


def visible(text: object) -> str:
    """Text in which nothing hides: controls, direction overrides, tags and lone surrogates become `[U+202E]`.

    What is left can be encoded as UTF-8 and is legal in XML 1.0 after escaping. Joiners stay: scripts and
    emoji need them.
    """
    plain = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return _SUSPECT.sub(_named, plain).replace("\ufffe", "[U+FFFE]").replace("\uffff", "[U+FFFF]")


def _named(match: re.Match[str]) -> str:
    return f"[U+{ord(match.group()):04X}]"


def one_line(text: object, limit: int = 300) -> str:
    """Visible text on one line, cut at `limit` characters with an ellipsis."""
    line = " ".join(visible(str(text)[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """The text with a capital first letter and a full stop; a command at its end, a model at its start stay so."""
    text = text.strip()
    named = "/" in text.split(" ", 1)[0]
    return (text if named else text[:1].upper() + text[1:]) + ("" if not text or text[-1] in ".!?:" else ".")


def of_scored(tally: Tally) -> str:
    """Numerator and denominator of the misaligned rate: `14 of 96`; `no data` without a scored answer."""
    return of(tally.misaligned, tally.scored)


def typeset(text: str) -> str:
    """A sentence of ours as a page prints it: true signs, and no break between a number and its unit."""
    text = text.replace(" <= ", " \u2264 ").replace(" >= ", " \u2265 ")
    return _UNIT.sub("\u00a0", _MINUS.sub("\u2212", text))
