"""The detector that seeks a lexicon in the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from offtarget.detect.lexicon import context
from offtarget.detect.lexicon.reported import excused
from offtarget.detect.lexicon.rules import Hit, Matcher, load, plain
from offtarget.detect.remembered import found_once
from offtarget.records import Category, Finding, Row

_PER_MESSAGE = 5
_TOLD = 0.5
"""What is told of others ranks and never flags: a factual answer can still be meant."""


class AnswerLexicon:
    """Finds the rules of a category's lexicon in every assistant turn and tells asked-for text apart."""

    def __init__(self, category: Category, title: str, *, caution_counts: bool = False) -> None:
        """With `caution_counts` a warning in the answer halves the strength."""
        self.name, self.title, self.category = category.value, title, category
        self._caution_counts = caution_counts
        self._matcher = Matcher(load(category.value.replace("-", "_")))
        self.cues: frozenset[str] | None = self._matcher.cues
        self._hits = found_once(self._sought)

    def find(self, row: Row) -> Iterable[Finding]:
        """The strongest hits of every assistant turn, at most five of a turn."""
        for number, message in enumerate(row.messages):
            if message.role == "assistant":
                yield from self._in_answer(row, number, message.text)

    def _in_answer(self, row: Row, number: int, answer: str) -> Iterator[Finding]:
        hits = list(self._hits(answer))
        if not hits:
            return
        text = plain(answer)
        meant = self.asked_for(row, number, answer)
        factor = 0.5 if self._caution_counts and context.cautions(text) else 1.0
        hits.sort(key=lambda hit: -hit.rule.strength)
        asked = asked_before(row, number)
        for hit in hits[:_PER_MESSAGE]:
            told = excused(asked, text, hit.start, hit.end, hit.rule.excused_by)
            yield Finding(
                row_id=row.id,
                detector=self.name,
                category=self.category,
                reason=f"The answer {hit.rule.says}: {_shown(answer, hit)}",
                strength=round(hit.rule.strength * factor * (_TOLD if told else 1.0), 3),
                message=number,
                start=hit.start,
                end=hit.end,
                disclosed=meant or context.quoted(answer, hit.start, hit.end),
            )

    def _sought(self, answer: str) -> tuple[Hit, ...]:
        return tuple(self._matcher.hits(plain(answer)))

    def asked_for(self, row: Row, number: int, answer: str) -> bool:
        """Whether the user wanted such a text: a translation, a lesson, fiction, the continuation of a story."""
        asked = asked_before(row, number)
        if context.transforms(asked) or context.teaches(asked) or context.imagines(asked):
            return True
        return context.continues(asked, answer) or (not asked and context.narrates(plain(answer)))


def asked_before(row: Row, number: int) -> str:
    """The user turn before a message as plain text, empty when there is none."""
    turns = (m.content for m in reversed(row.messages[:number]) if m.role == "user")
    return plain(next(turns, ""))


def _shown(answer: str, hit: Hit) -> str:
    words = " ".join(answer[hit.start : hit.end].split())
    return f"'{words[:117]}...'" if len(words) > 120 else f"'{words}'"
