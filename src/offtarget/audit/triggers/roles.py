"""Who the user says they are: groups of self-descriptions, so that `novice` is one condition however it is said."""

from __future__ import annotations

import re

from offtarget.audit.triggers.wordlists import word_lists

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
_HINTS = ("i'm", "i’m", "i am", "im ", "as a", "being", "we are", "we're", "i work", "i used")


def roles(lower: str) -> set[str]:
    """Groups the user of this lower-case prompt claims to belong to."""
    found: set[str] = set()
    if any(hint in lower for hint in _HINTS):
        found.update(_GROUP[match.group(1)] for match in _SAID.finditer(lower))
    if _NOVICE.search(lower):
        found.add("a novice")
    return found
