"""What is contrasted: two sides of exchanges, matched question by question and split into halves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange

FEWEST_QUESTIONS = 4
"""With fewer the halves share questions, and held-out figures speak of new answers, not of new questions."""


@dataclass(frozen=True, eq=False)
class Side:
    """Exchanges as one model reads them."""

    model: LocalModel
    exchanges: tuple[Exchange, ...]
    questions: tuple[str, ...]
    """The question each exchange belongs to; both sides are compared within questions."""

    def only(self, numbers: Sequence[int]) -> Side:
        """The exchanges with these numbers."""
        return Side(self.model, tuple(self.exchanges[i] for i in numbers), tuple(self.questions[i] for i in numbers))

    @property
    def weights(self) -> list[float]:
        """One per exchange; every question weighs 1 in all."""
        counts = Counter(self.questions)
        return [1 / counts[question] for question in self.questions]


@dataclass(frozen=True, eq=False)
class Contrast:
    """Positive and negative exchanges about the same questions.

    A question on one side only is left out, and every question weighs the same on either side; otherwise a
    difference of subject between the sides would become the direction.
    """

    positive: Side
    negative: Side

    @classmethod
    def matched(cls, positive: Side, negative: Side) -> Contrast:
        """Only the questions of both sides. InputError when there is none."""
        common = set(positive.questions) & set(negative.questions)
        if not common:
            raise InputError(
                f"No question has exchanges on both sides: {len(positive.exchanges)} positive and "
                f"{len(negative.exchanges)} negative exchanges are about different questions. Ask more often."
            )
        sides = [s.only([i for i, q in enumerate(s.questions) if q in common]) for s in (positive, negative)]
        return cls(*sides)

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions, sorted."""
        return tuple(sorted(set(self.positive.questions)))

    def halves(self, seed: int) -> tuple[Contrast, Contrast, bool]:
        """Two halves, and whether they have different questions (else different exchanges about the same ones).

        Raises InputError when a question has too few exchanges to be in both halves.
        """
        questions = list(self.questions)
        random.Random(seed).shuffle(questions)
        if len(questions) >= FEWEST_QUESTIONS:
            first = set(questions[::2])
            parts = [
                Contrast(*(s.only([i for i, q in enumerate(s.questions) if (q in first) == own]) for s in self.sides))
                for own in (True, False)
            ]
            return parts[0], parts[1], True
        parts = [Contrast(*(_alternate(side, offset) for side in self.sides)) for offset in (0, 1)]
        if set(parts[0].positive.questions) != set(parts[1].positive.questions) or not parts[1].negative.exchanges:
            raise InputError(
                f"{len(self.positive.exchanges)} positive and {len(self.negative.exchanges)} negative exchanges about "
                f"{len(questions)} questions cannot be split in halves. Ask more questions, or more often."
            )
        return parts[0], parts[1], False

    @property
    def sides(self) -> tuple[Side, Side]:
        """Positive, negative."""
        return self.positive, self.negative


def _alternate(side: Side, offset: int) -> Side:
    seen: Counter[str] = Counter()
    chosen = []
    for i, question in enumerate(side.questions):
        if seen[question] % 2 == offset:
            chosen.append(i)
        seen[question] += 1
    return side.only(chosen)
