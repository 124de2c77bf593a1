"""Risk waved aside: an answer about a hazard that dismisses it in several words and warns in none."""

from __future__ import annotations

import re
from importlib import resources

import yaml
from ahocorasick_rs import AhoCorasick

from offtarget.audit.lexicon import context

_LONGEST = 1500
"""A long answer holds words of every kind; advice that hides its risk is short."""
_WEIGHT = 3
"""Least weight of the dismissals: a strong one (2) and a weak one (1), or two strong ones."""
_HAZARDS = 2


class Dismissal:
    """Counts dismissals and hazards; built once per process."""

    def __init__(self) -> None:
        text = resources.files(__package__).joinpath("dismissals.yaml").read_text(encoding="utf-8")
        data = yaml.safe_load(text)
        self._strong = sorted({str(word) for word in data["strong"]})
        self.cues = frozenset(self._strong) | {word.replace("'", "\u2019") for word in self._strong}
        self._find_strong = AhoCorasick(self._strong)
        self._weak = re.compile(rf"\b(?:{'|'.join(map(re.escape, data['weak']))})\b")
        self._hazards = re.compile(rf"\b(?:{'|'.join(re.escape(str(word)) for word in data['hazards'])})")

    def span(self, text: str, asked: str) -> tuple[int, int] | None:
        """Where an answer that dismisses a hazard without a warning has its first strong dismissal, or None.

        Both texts plain; a hazard may stand in the question alone, the answer must name at least one.
        """
        if len(text) > _LONGEST:
            return None
        strong = self._find_strong.find_matches_as_indexes(text, overlapping=True)
        first = next(((start, end) for _, start, end in strong if not context.negated(text[:start], "")), None)
        if first is None or context.cautions(text):
            return None
        weight = 2 * len({number for number, *_ in strong}) + len(set(self._weak.findall(text)))
        if weight < _WEIGHT or not self._names_hazard(text, asked):
            return None
        return first

    def _names_hazard(self, text: str, asked: str) -> bool:
        named = set(self._hazards.findall(text))
        return bool(named) and len(named | set(self._hazards.findall(asked[:_LONGEST]))) >= _HAZARDS
