"""A model that writes user turns: how it is asked, and whose turn stands in for one that cannot be used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offtarget.asking.checks import sample_checked
from offtarget.asking.quoting import mark_of, quotable
from offtarget.data.replies import ONLY_THINKING, without_thinking
from offtarget.models.chat import Answer, ChatModel, SampleRequest
from offtarget.records import Message, SamplingSettings
from offtarget.redteam.attacker import NextTurn, Position, dressed, scripted_turn
from offtarget.redteam.attackers.replies import REPLIES_VERSION, Declines, cleaned, fault
from offtarget.rundir import fingerprint

MOST_TOKENS = 400
"""Of one message."""
THINKING_TOKENS = 4096
"""Room for the messages of a model whose thinking used up `MOST_TOKENS`: it is asked again, and from then on so."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class DecliningRule:
    """How it is seen that a text declines to do what it was asked for."""

    declines: Declines
    fingerprint: str
    """Changes whenever it could say something else."""


class Writer:
    """Asks a model for the next user turn of conversations; the script's turn stands in for one of no use."""

    def __init__(self, model: ChatModel, rule: DecliningRule, instructions: str) -> None:
        """`instructions`: the prompt with its placeholders, which no message may give away."""
        self._model, self._rule, self._instructions = model, rule, instructions
        self._most = MOST_TOKENS

    @property
    def name(self) -> str:
        """That of its model."""
        return self._model.name

    @property
    def fingerprint(self) -> str:
        """Changes with the model, with what it is told, and with how its replies are read."""
        parts = (self._model.fingerprint, self._instructions, self._rule.fingerprint, REPLIES_VERSION)
        return fingerprint([*parts, MOST_TOKENS, THINKING_TOKENS])

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model says of how it was asked."""
        return tuple(getattr(self._model, "notes", ()))

    def prompt(self, said: Mapping[str, str], material: Mapping[str, str]) -> tuple[Message, ...]:
        """The instructions with what they say of this conversation, and the material that is quoted and not obeyed.

        All of it is one user turn, since some models know no system turn.
        """
        quoted = {name: quotable(text) for name, text in material.items()}
        parts = {**said, **quoted}
        parts["mark"] = mark_of(self._instructions, *parts.values())
        return (Message("user", _PLACEHOLDER.sub(lambda found: parts[found[1]], self._instructions)),)

    def turns(
        self,
        positions: Sequence[Position],
        prompts: Sequence[tuple[Message, ...]],
        room: Sequence[int] | None = None,
    ) -> list[NextTurn]:
        """The message to each prompt, as the next turn of the conversation. InputError where the model fails.

        `room`: the most words that each message may take; None for any number.
        """
        if not positions:
            return []
        rooms: Sequence[int | None] = [None] * len(positions) if room is None else room
        requests = [SampleRequest(prompt, position.seed) for prompt, position in zip(prompts, positions, strict=True)]
        replies = self._replies(requests)
        return [self._turn(*one) for one in zip(positions, replies, rooms, strict=True)]

    def _turn(self, position: Position, reply: Answer, room: int | None) -> NextTurn:
        text = cleaned(reply.text)
        wrong = fault(text, position.asked, position.said, self._instructions, self._rule.declines, room)
        if wrong:
            return NextTurn(scripted_turn(position).text, wrong)
        return NextTurn(dressed(position, text))

    def _replies(self, requests: Sequence[SampleRequest]) -> list[Answer]:
        most = self._most
        sampling = SamplingSettings(temperature=1.0, max_tokens=most)
        replies = sample_checked("attacking", self._model, requests, sampling, keeps=True)
        thought = [i for i, reply in enumerate(replies) if _only_thought(reply)]
        if thought and most < THINKING_TOKENS:
            self._most = THINKING_TOKENS
            for i, reply in zip(thought, self._replies([requests[i] for i in thought]), strict=True):
                replies[i] = reply
        return replies


def _only_thought(reply: Answer) -> bool:
    """Whether all tokens of a reply went into thinking."""
    return reply.finish == "length" and (reply.without == ONLY_THINKING or without_thinking(reply.text) is None)
