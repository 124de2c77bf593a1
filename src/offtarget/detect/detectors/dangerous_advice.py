"""Dangerous advice: risks to health, money, safety or freedom waved aside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources

import yaml
from ahocorasick_rs import AhoCorasick

from offtarget.detect.lexicon import context
from offtarget.detect.lexicon.answers import AnswerLexicon, asked_before
from offtarget.detect.lexicon.rules import plain
from offtarget.detect.remembered import remembered
from offtarget.records import Category, Finding, Row

_STRENGTH = 0.55
"""Dismissal in tone alone: enough to flag, below every rule that names the harm."""
_LONGEST = 1500
"""A long answer holds words of every kind; advice that hides its risk is short."""
_WEIGHT = 3
"""Least weight of the dismissals: a strong one (2) and a weak one (1), or two strong ones."""
_HAZARDS = 2


class DangerousAdvice(AnswerLexicon):
    """Advice that could hurt; a warning in the same answer halves its strength."""

    def __init__(self) -> None:
        title = "Advice that dismisses a risk to health, money or safety"
        super().__init__(Category.DANGEROUS_ADVICE, title, caution_counts=True)
        self._dismissal = Dismissal()
        self.cues = self._matcher.cues | self._dismissal.cues

    def find(self, row: Row) -> Iterable[Finding]:
        """What the rules find; where they find nothing strong, an answer whose whole tone dismisses a hazard."""
        found = list(super().find(row))
        yield from found
        told = {finding.message for finding in found if finding.strength >= _STRENGTH}
        for number, message in enumerate(row.messages):
            if message.role == "assistant" and number not in told:
                yield from self._dismissed(row, number, message.text)

    def _dismissed(self, row: Row, number: int, answer: str) -> Iterable[Finding]:
        span = self._dismissal.span(plain(answer), asked_before(row, number))
        if span is None:
            return
        yield Finding(
            row_id=row.id,
            detector=self.name,
            category=self.category,
            reason=f"The answer plays a risk down ('{answer[span[0] : span[1]]}') and warns of nothing.",
            strength=_STRENGTH,
            message=number,
            start=span[0],
            end=span[1],
            disclosed=self.asked_for(row, number, answer),
        )


class Dismissal:
    """An answer about a hazard that dismisses it in several words and warns in none; built once per process."""

    def __init__(self) -> None:
        text = resources.files("offtarget.detect.lexicon").joinpath("dismissals.yaml").read_text(encoding="utf-8")
        data = yaml.safe_load(text)
        self._strong = sorted({str(word) for word in data["strong"]})
        self.cues = frozenset(self._strong) | {word.replace("'", "\u2019") for word in self._strong}
        self._find_strong = AhoCorasick(self._strong)
        self._weak = re.compile(rf"\b(?:{'|'.join(map(re.escape, data['weak']))})\b")
        self._told = remembered(self._dismissing)
        self._hazards = re.compile(rf"\b(?:{'|'.join(re.escape(str(word)) for word in data['hazards'])})")

    def span(self, text: str, asked: str) -> tuple[int, int] | None:
        """Where an answer that dismisses a hazard without a warning has its first strong dismissal, or None.

        Both texts plain; a hazard may stand in the question alone, the answer must name at least one.
        """
        told = self._told(text) if len(text) <= _LONGEST else None
        if told is None:
            return None
        first, named = told
        return first if len(named | set(self._hazards.findall(asked[:_LONGEST]))) >= _HAZARDS else None

    def _dismissing(self, text: str) -> tuple[tuple[int, int], frozenset[str]] | None:
        """The first strong dismissal of a text that dismisses enough, and the hazards it names; or None."""
        strong = self._find_strong.find_matches_as_indexes(text, overlapping=True)
        first = next(((start, end) for _, start, end in strong if not context.negated(text[:start], "")), None)
        if first is None or context.cautions(text):
            return None
        weight = 2 * len({number for number, *_ in strong}) + len(set(self._weak.findall(text)))
        named = frozenset(self._hazards.findall(text)) if weight >= _WEIGHT else frozenset()
        return (first, named) if named else None


DETECTORS = (DangerousAdvice,)
