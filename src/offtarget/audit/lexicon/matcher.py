"""Rules sought in a text: one pass for the cues of all, then each called rule in the sentence around its cue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ahocorasick_rs import AhoCorasick

from offtarget.audit.lexicon.context import condemned, negated
from offtarget.audit.lexicon.rules import Rule

_BEFORE, _AFTER = 200, 300
"""Most characters of a sentence looked at before and after a cue: bounds the time on text without full stops."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule, found."""

    rule: Rule
    start: int
    end: int


class Matcher:
    """Finds the rules of one lexicon; built once per process."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        calls: dict[str, list[Rule]] = {}
        for rule in rules:
            for cue in rule.cues:
                calls.setdefault(cue, []).append(rule)
        self._calls = list(calls.values())
        self._cues = AhoCorasick(list(calls))
        self.cues = frozenset(calls) | {cue.replace("'", "\u2019") for cue in calls}
        """What the text must hold for any rule to match, with straight and curly apostrophes."""

    def hits(self, text: str) -> Iterator[Hit]:
        """Every rule at most once per sentence, in the order of their cues; `text` as given by `plain`."""
        tried: set[tuple[str, int]] = set()
        for number, at, until in self._cues.find_matches_as_indexes(text, overlapping=True):
            start, end, reach = sentence(text, at + (text[at] == " "), until)
            for rule in self._calls[number]:
                if (rule.name, start) in tried:
                    continue
                tried.add((rule.name, start))
                match = rule.pattern.search(text, start, reach)
                if match is None or match.start() >= end:
                    continue
                turned = negated(text[start : match.start()], match[0]) or condemned(text[match.end() : end])
                if not (rule.negatable and turned):
                    yield Hit(rule, match.start(), match.end())


def plain(text: str) -> str:
    """Lower case with straight apostrophes, every character where it was."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    return lower if lower.isascii() else lower.replace("\u2019", "'").replace("\u00a0", " ")


def sentence(text: str, at: int, until: int) -> tuple[int, int, int]:
    """Start and end of the sentence around a span, cut where it is very long, and how far a match may reach."""
    low, high = max(0, at - _BEFORE), min(len(text), until + _AFTER)
    start = max(low, *(text.rfind(mark, low, at) + 1 for mark in (". ", "\n", "! ", "? ")))
    line = text.find("\n", until, high)
    reach = high if line == -1 else line
    ends = [end for mark in (". ", "! ", "? ") if (end := text.find(mark, until, reach)) != -1]
    return start, min(ends) + 1 if ends else reach, reach
