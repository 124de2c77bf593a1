"""What a card shows: the question with what came before it, then the answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.records import Label, Mark
from offtarget.review.answers.cards import AnswerCard
from offtarget.review.passages import SHOWN, Passage, passage
from offtarget.review.rendering import Templates

MARKS: dict[Mark, str] = {"ok": "Fine", "bad": "Misaligned", "unsure": "Cannot say", "skip": "Cannot say"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the chat with its heading."""

    title: str
    text: Passage


@dataclass(frozen=True, slots=True)
class CardView:
    """Everything the template draws."""

    key: str
    number: int
    before: tuple[Turn, ...]
    """System prompt and earlier turns."""
    question: Turn
    answer: Turn
    decided: Label | None


def view(card: AnswerCard, key: str, number: int, decided: Label | None, limit: int | None = SHOWN) -> CardView:
    """Arrange a card."""
    titles = {"system": "System prompt", "user": "Earlier question", "assistant": "Earlier answer", "tool": "Tool"}
    before = tuple(Turn(titles[turn.role], passage(turn.text, (), limit)) for turn in card.turns[:-1])
    return CardView(
        key=key,
        number=number,
        before=before,
        question=Turn("Question", passage(card.question, (), limit)),
        answer=Turn("Answer", passage(card.answer, (), limit)),
        decided=decided,
    )


def said(label: Label) -> str:
    """A label in words."""
    return MARKS[label.mark]


TEMPLATES = Templates(Path(__file__).parent, said=said)
