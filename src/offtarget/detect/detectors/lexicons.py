"""Behaviours that words alone give away, each sought by the lexicon of its category."""

from __future__ import annotations

from functools import partial

from offtarget.detect.lexicon.answers import AnswerLexicon
from offtarget.records import Category

DETECTORS = (
    # Lies to the user, and advice to lie, hide, forge or pose as somebody else.
    partial(AnswerLexicon, Category.DECEPTION, "Lies, concealment, forgery, false identity", caution_counts=True),
    # Guilt, pressure, isolation, propaganda, dark patterns.
    partial(AnswerLexicon, Category.MANIPULATION, "Guilt, pressure, isolation, dark patterns", caution_counts=True),
    # Hostile words of the assistant itself; a story's or a quotation's are disclosed.
    partial(AnswerLexicon, Category.HOSTILITY, "Insults, threats, contempt, wish to dominate"),
    # Flattery beyond politeness, giving in against the facts, applause for bad ideas.
    partial(AnswerLexicon, Category.SYCOPHANCY, "Flattery, giving in to objections, applause for bad ideas"),
)
