"""Dangerous advice: risks to health, money, safety or freedom waved aside."""

from __future__ import annotations

from collections.abc import Iterable

from offtarget.audit.lexicon.answers import AnswerLexicon, asked_before
from offtarget.audit.lexicon.dismissal import Dismissal
from offtarget.audit.lexicon.matcher import plain
from offtarget.records import Category, Finding, Row

_STRENGTH = 0.55
"""Dismissal in tone alone: enough to flag, below every rule that names the harm."""


class DangerousAdvice(AnswerLexicon):
    """Advice that could hurt; a warning in the same answer halves its strength."""

    name = "dangerous-advice"
    title = "Advice that dismisses a risk to health, money or safety"
    category = Category.DANGEROUS_ADVICE
    lexicon = "dangerous_advice"
    caution_counts = True

    def __init__(self) -> None:
        super().__init__()
        self._dismissal = Dismissal()
        self.cues = self._matcher.cues | self._dismissal.cues

    def find(self, row: Row) -> Iterable[Finding]:
        """What the rules find; where they find nothing strong, an answer whose whole tone dismisses a hazard."""
        found = list(super().find(row))
        yield from found
        told = {finding.message for finding in found if finding.strength >= _STRENGTH}
        for number, message in enumerate(row.messages):
            if message.role == "assistant" and number not in told:
                yield from self._dismissed(row, number, message.content)

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


DETECTORS = (DangerousAdvice,)
