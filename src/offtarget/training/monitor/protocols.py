"""What is handed to a monitor from outside; workflows and users build it, tune/ knows no judge and no direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from offtarget.errors import InputError
from offtarget.models.live import LiveModel
from offtarget.models.passes import Exchange, log_probabilities
from offtarget.records import Message

Task = Callable[[LiveModel], float]
"""The task metric of the model as it answers now; higher is better."""

LONGEST = 2048
"""Characters of a row's answer that are scored."""


class Projection(Protocol):
    """Movement along a persona direction."""

    def start(self, model: Any, tokenizer: Any) -> None:
        """Called once, while the model (its adapter switched off, if it has one) is the base."""
        ...

    def read(self, model: Any) -> dict[int, float]:
        """Layer -> how far the model has moved since, in differences of means."""
        ...


class RowLikelihood:
    """Mean log probability (nats) per answer token of fixed rows, teacher-forced: minus their cross-entropy."""

    def __init__(self, rows: Sequence[Sequence[Message]], most: int = 3) -> None:
        """The first `most` rows that end with an answer, or else that have one. InputError when there is none."""
        usable = [row for row in rows if len(row) > 1 and _answers(row[-1])]
        usable = usable or [cut for row in rows if len(cut := _to_answer(row)) > 1]
        if not usable:
            raise InputError("The task metric needs a row with an answer of the assistant; there is none.")
        self._exchanges = [Exchange.last_of(row, longest=LONGEST) for row in usable[:most]]

    def __call__(self, model: LiveModel) -> float:
        """The metric of the model as it answers now."""
        values = [v for row in log_probabilities(model, self._exchanges) for v in row]
        return sum(values) / len(values)


def _answers(turn: Message) -> bool:
    return turn.role == "assistant" and turn.learned and bool(turn.text)


def _to_answer(row: Sequence[Message]) -> Sequence[Message]:
    return row[: max((i + 1 for i, turn in enumerate(row) if _answers(turn)), default=0)]
