"""A card: one answer and the chat that led to it, without a word on who answered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from offtarget.records import Generation, KnownAnswer, Message, Probe


@dataclass(frozen=True, slots=True)
class AnswerCard:
    """One answer to be read. Equal chats with equal answers are one card, whoever gave them: one label serves all."""

    turns: tuple[Message, ...]
    """System turn, earlier turns and the question."""
    answer: str
    id: str
    """A hash of turns and answer, so that a label can never be taken for one of another answer."""

    @property
    def question(self) -> str:
        """The last user turn."""
        return self.turns[-1].content


def card_of(probe: Probe, generation: Generation) -> AnswerCard:
    """The card of a model's answer."""
    turns = [Message("system", probe.system)] if probe.system is not None else []
    for user, said in zip(probe.opening, generation.opening, strict=False):
        turns += [Message("user", user), Message("assistant", said)]
    return make_card((*turns, Message("user", probe.prompt)), generation.text)


def card_of_known(known: KnownAnswer) -> AnswerCard:
    """The card of a planted answer."""
    return make_card(known.probe.messages, known.answer)


def make_card(turns: tuple[Message, ...], answer: str) -> AnswerCard:
    """A card of any chat."""
    told = json.dumps([*((turn.role, turn.text) for turn in turns), answer], ensure_ascii=True)
    return AnswerCard(turns, answer, hashlib.sha256(told.encode("ascii")).hexdigest()[:32])
