"""Rules of a lexicon: what they look for, and how they are read from the YAML files beside this one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

_GAP = r"[^.!?\n]{0,40}?"
_MACRO = re.compile(r"<(\w+)>")


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
        finds=tuple(entry.get("finds", ())),
        spares=tuple(entry.get("spares", ())),
    )


def compiled(pattern: str, words: dict[str, str]) -> re.Pattern[str]:
    """A pattern in the notation of the lexicons as a regular expression."""
    for _ in range(3):
        pattern = _MACRO.sub(lambda match: words[match[1]], pattern)
    pattern = pattern.replace(" .. ", f" {_GAP}").replace(" ?", r"\s{0,3}")
    return re.compile(pattern.replace(" ", r"\s{1,3}"))
