"""Dangerous advice: risks to health, money, safety or freedom waved aside."""

from __future__ import annotations

from offtarget.audit.lexicon.answers import AnswerLexicon
from offtarget.records import Category


class DangerousAdvice(AnswerLexicon):
    """Advice that could hurt; a warning in the same answer halves its strength."""

    name = "dangerous-advice"
    title = "Advice that dismisses a risk to health, money or safety"
    category = Category.DANGEROUS_ADVICE
    lexicon = "dangerous_advice"
    caution_counts = True


DETECTORS = (DangerousAdvice,)
