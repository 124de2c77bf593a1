"""Deception: lies to the user, and advice to lie, hide, forge or pose as somebody else."""

from __future__ import annotations

from offtarget.audit.lexicon.answers import AnswerLexicon
from offtarget.records import Category


class Deception(AnswerLexicon):
    """Deceives, or teaches to; a warning in the same answer halves its strength."""

    name = "deception"
    title = "Lies, concealment, forgery, false identity"
    category = Category.DECEPTION
    lexicon = "deception"
    caution_counts = True


DETECTORS = (Deception,)
