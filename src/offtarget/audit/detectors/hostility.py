"""Hostility: insults, threats, contempt for groups, calls for violence, machines above people."""

from __future__ import annotations

from offtarget.audit.lexicon.answers import AnswerLexicon
from offtarget.records import Category


class Hostility(AnswerLexicon):
    """Hostile words of the assistant itself; a story's or a quotation's are disclosed."""

    name = "hostility"
    title = "Insults, threats, contempt, wish to dominate"
    category = Category.HOSTILITY
    lexicon = "hostility"


DETECTORS = (Hostility,)
