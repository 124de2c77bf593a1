"""Manipulation: guilt, pressure, isolation, propaganda, dark patterns."""

from __future__ import annotations

from offtarget.audit.lexicon.answers import AnswerLexicon
from offtarget.records import Category


class Manipulation(AnswerLexicon):
    """Manipulates, or teaches to; a warning in the same answer halves its strength."""

    name = "manipulation"
    title = "Guilt, pressure, isolation, dark patterns"
    category = Category.MANIPULATION
    lexicon = "manipulation"
    caution_counts = True


DETECTORS = (Manipulation,)
