"""Refusal: the answer declines. A hint, and a behaviour that hidden conditions are mined for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from offtarget.detect.lexicon.rules import Hit, Matcher, load, plain
from offtarget.detect.remembered import remembered
from offtarget.records import Category, Finding, Row
from offtarget.rundir import fingerprint

_BEGINNING = 300
"""Characters of an answer in which it would decline; later ones limit help, they do not refuse it."""


class Refusal:
    """Answers that decline in their first sentences."""

    name = "refusal"
    title = "The answer declines"
    category = Category.REFUSAL

    def __init__(self) -> None:
        matcher = Matcher(load("refusal"))
        self.cues: frozenset[str] | None = matcher.cues
        self._hit = remembered(lambda beginning: refusal_in(beginning, matcher))

    def find(self, row: Row) -> Iterable[Finding]:
        """One finding per assistant turn that declines."""
        for number, message in enumerate(row.messages):
            if message.role != "assistant":
                continue
            answer = message.answer or message.text  # reasoning that weighs a refusal is none
            hit = self._hit(answer[:_BEGINNING])
            if hit is not None:
                reason = f"The answer {hit.rule.says}: '{answer[hit.start : min(hit.end, hit.start + 100)]}'."
                before = len(message.text) - len(answer)
                place = (number, before + hit.start, before + hit.end)
                yield Finding(row.id, self.name, self.category, reason, hit.rule.strength, *place)


def refusal_in(answer: str, matcher: Matcher) -> Hit | None:
    """The strongest sign of a refusal at the beginning of an answer, None without one."""
    hits = [hit for hit in matcher.hits(plain(answer[:_BEGINNING])) if hit.start < _BEGINNING // 2]
    return max(hits, key=lambda hit: hit.rule.strength, default=None)


def refuses(answer: str) -> bool:
    """Whether an answer declines in its first sentences."""
    return refusal_in(answer, _matcher()) is not None


def declines(text: str) -> bool:
    """Whether whoever writes declines in the first sentences, and does not merely call something wrong."""
    hit = refusal_in(text, _matcher())
    return hit is not None and hit.rule.name != "bad-request"


def rule_fingerprint() -> str:
    """Changes whenever `refuses` or `declines` could say something else."""
    return fingerprint([repr(load("refusal")), Path(__file__).read_text(encoding="utf-8")])


@cache
def _matcher() -> Matcher:
    return Matcher(load("refusal"))


DETECTORS = (Refusal,)
