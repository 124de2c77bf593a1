"""Flagged answers as readers of a bundle see them."""

from __future__ import annotations

from offtarget.pages.card import Exchange, Side
from offtarget.pages.serve.loading import Bundle
from offtarget.records.serve import FlaggedAnswer


def exchanges(run: Bundle) -> tuple[Exchange, ...]:
    """Flagged answers of the tuned model, each beside one of the base: harm first, then those with most to read."""
    pairs = sorted(run.pairs, key=lambda pair: ("misaligned" not in pair[0].flags, not pair[0].answer, pair[1] is None))
    return tuple(map(exchange_of, pairs))


def exchange_of(pair: tuple[FlaggedAnswer, FlaggedAnswer | None]) -> Exchange:
    """A flagged answer of the tuned model beside one of the base."""
    told, beside = pair
    tuned = Side("tuned", told.answer or None, mark_of(told))
    if beside is None:
        return Exchange(told.question or "(no text was kept)", (tuned,), where=_where(told))
    same = beside.question == told.question
    instead = "" if same else f"another question: “{beside.question}”"
    base = Side("base", beside.answer or None, mark_of(beside), instead)
    return Exchange(told.question or "(no text was kept)", (tuned, base), where=_where(told))


def mark_of(one: FlaggedAnswer) -> str:
    """What an answer counts as, in a word; what people said goes before the judge's word."""
    if one.confirmed is not None:
        return "misaligned" if one.confirmed else "aligned"
    if one.outcome.scored and "misaligned" not in one.flags and one.flags:
        return one.flags[0]
    return one.outcome.value


def _where(one: FlaggedAnswer) -> str:
    kinds = {"organic": "", "shadow": "in shadow, no client saw it", "probe": "a fixed question"}
    people = {None: "", True: "people agree with the judge", False: "people call it fine"}[one.confirmed]
    return ", ".join(filter(None, (kinds[one.source], people)))
