"""Rules of a lexicon: how they are read from the YAML files beside this one, and sought in a text.

One pass finds the cues of all rules, then each called rule is tried in the sentence around its cue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml
from ahocorasick_rs import AhoCorasick

from offtarget.detect.lexicon.context import condemned, negated

_GAP = r"[^.!?\n]{0,40}?"
_MACRO = re.compile(r"<(\w+)>")
_BEFORE, _AFTER = 200, 300
"""Most characters of a sentence looked at before and after a cue: bounds the time on text without full stops."""
_BLOCK = 128
"""Where a sentence is cut, it begins at a multiple of this, so that many cues in it share a beginning."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing a lexicon looks for, within one sentence."""

    name: str
    says: str
    """Reason for the reviewer, completing `The answer ...` or `The user ...`."""
    strength: float
    cues: tuple[str, ...]
    """Lower-case literals; the pattern is tried only in a sentence with one of them."""
    pattern: re.Pattern[str]
    """On lower-case text with straight apostrophes."""
    negatable: bool
    """A `not` or `never` in the sentence, before or within the match, takes the hit back."""
    excused_by: Literal["facts", "views"] | None
    """What an answer may tell of others without being advice or a wish; see `reported.py`."""
    finds: tuple[str, ...]
    """Sentences it must find; the tests read them."""
    spares: tuple[str, ...]
    """Sentences it must leave alone."""


@cache
def load(name: str) -> tuple[Rule, ...]:
    """The rules of `NAME.yaml`.

    In a pattern a space stands for any white space, `..` for up to 40 characters of the same sentence, and `<word>` for
    the alternatives listed under `words` in the same file.
    """
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    words = {word: _alternatives(listed) for word, listed in data.get("words", {}).items()}
    return tuple(_rule(entry, words) for entry in data["rules"])


def _alternatives(listed: str | list[str]) -> str:
    return "(?:" + (listed if isinstance(listed, str) else "|".join(listed)) + ")"


def _rule(entry: dict[str, Any], words: dict[str, str]) -> Rule:
    return Rule(
        name=entry["name"],
        says=entry["says"],
        strength=float(entry.get("strength", 0.7)),
        cues=tuple(str(cue) for cue in entry["cues"]),
        pattern=compiled(entry["pattern"], words),
        negatable=bool(entry.get("negatable", True)),
        excused_by=entry.get("excused_by"),
        finds=tuple(entry.get("finds", ())),
        spares=tuple(entry.get("spares", ())),
    )


def compiled(pattern: str, words: dict[str, str]) -> re.Pattern[str]:
    """A pattern in the notation of the lexicons as a regular expression."""
    for _ in range(3):
        pattern = _MACRO.sub(lambda match: words[match[1]], pattern)
    pattern = pattern.replace(" .. ", f" {_GAP}").replace(" ?", r"\s{0,3}")
    pattern = pattern.replace(r"\w+", r"\w{1,40}").replace(r"\w*", r"\w{0,40}")  # no word is longer; hostile text is
    return re.compile(pattern.replace(" ", r"\s{1,3}"))


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
    low, high = max(0, at - _BEFORE) // _BLOCK * _BLOCK, min(len(text), until + _AFTER)
    start = max(low, *(text.rfind(mark, low, at) + 1 for mark in (". ", "\n", "! ", "? ")))
    line = text.find("\n", until, high)
    reach = high if line == -1 else line
    ends = [end for mark in (". ", "! ", "? ") if (end := text.find(mark, until, reach)) != -1]
    return start, min(ends) + 1 if ends else reach, reach
