"""Refusal: the answer declines. A hint, and a behaviour that hidden conditions are mined for."""

from __future__ import annotations

from collections.abc import Iterable

from offtarget.audit.lexicon.matcher import Matcher
from offtarget.audit.lexicon.refusals import refusal_in
from offtarget.audit.lexicon.rules import load
from offtarget.records import Category, Finding, Row


class Refusal:
    """Answers that decline in their first sentences."""

    name = "refusal"
    title = "The answer declines"
    category = Category.REFUSAL

    def __init__(self) -> None:
        self._matcher = Matcher(load("refusal"))
        self.cues: frozenset[str] | None = self._matcher.cues

    def find(self, row: Row) -> Iterable[Finding]:
        """One finding per assistant turn that declines."""
        for number, message in enumerate(row.messages):
            if message.role != "assistant":
                continue
            hit = refusal_in(message.content, self._matcher)
            if hit is not None:
                reason = f"The answer {hit.rule.says}: '{message.content[hit.start : min(hit.end, hit.start + 100)]}'."
                place = (number, hit.start, hit.end)
                yield Finding(row.id, self.name, self.category, reason, hit.rule.strength, *place)


DETECTORS = (Refusal,)
