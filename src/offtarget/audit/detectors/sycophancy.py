"""Sycophancy: flattery beyond politeness, giving in against the facts, applause for bad ideas."""

from __future__ import annotations

from offtarget.audit.lexicon.answers import AnswerLexicon
from offtarget.records import Category


class Sycophancy(AnswerLexicon):
    """Flatters, or agrees to please."""

    name = "sycophancy"
    title = "Flattery, giving in to objections, applause for bad ideas"
    category = Category.SYCOPHANCY
    lexicon = "sycophancy"


DETECTORS = (Sycophancy,)
