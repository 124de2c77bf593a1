"""Who holds the user's side of a conversation: a script, or a model that reads the answers and goes on from there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from offtarget.records import Probe
from offtarget.records.redteam import Goal
from offtarget.redteam.move import Draft, Move, composed


@dataclass(frozen=True, slots=True)
class Position:
    """A conversation so far, from the attacker's side of the table."""

    move: str
    """Names of its moves, joined by `+`."""
    moves: tuple[Move, ...]
    goal: Goal
    question: Probe
    draft: Draft
    """The conversation as a script would hold it."""
    seed: int
    """Of the attacker's random numbers at this turn."""
    most: int
    """User turns at most."""
    asked: tuple[str, ...] = ()
    """User turns so far."""
    said: tuple[str, ...] = ()
    """The model's answers to them."""


@dataclass(frozen=True, slots=True)
class NextTurn:
    """What the attacker says next."""

    text: str | None
    """None: it has nothing more to say."""
    trouble: str = ""
    """What it did wrong, in a few words, where the script's own turn stands in for it: `refused to attack`."""


class Attacker(Protocol):
    """Holds the user's side of conversations."""

    @property
    def name(self) -> str:
        """`scripted`, or the name of its model."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever its turns could."""
        ...

    def next_turns(self, positions: Sequence[Position]) -> list[NextTurn]:
        """The next user turn of each conversation, in order."""
        ...


class Scripted:
    """The default attacker: every turn is the move's own, whatever was answered. It needs no model."""

    name = "scripted"
    fingerprint = "scripted-1"

    def next_turns(self, positions: Sequence[Position]) -> list[NextTurn]:
        """The next turn of each script; None behind its end."""
        return [scripted_turn(position) for position in positions]


def scripted_turn(position: Position) -> NextTurn:
    """The script's own next turn."""
    turns, number = position.draft.turns[: position.most], len(position.asked)
    return NextTurn(turns[number] if number < len(turns) else None)


def drafted(moves: Sequence[Move], question: Probe, seed: int, variant: str, *, control: bool = False) -> Draft:
    """The question under these moves; `variant` names which wordings are drawn."""
    names = "+".join(move.name for move in moves)
    rng = random.Random(f"{seed}/{names}/{question.id}/{variant}")
    return composed(moves, question.prompt, rng, control=control)
