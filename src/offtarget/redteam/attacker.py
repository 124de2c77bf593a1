"""Who holds the user's side of a conversation: a script, or a model that reads the answers and goes on from there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from offtarget.errors import InputError, OfftargetError
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
    bare: Draft
    """The same without the moves that only dress the request: what somebody goes by who writes turns of his own."""
    seed: int
    """Of the attacker's random numbers at this turn of this conversation."""
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


def turns_of(attacker: Attacker, positions: Sequence[Position]) -> list[NextTurn]:
    """The next user turn of each, of an attacker held to its Protocol; who has no first turn says the script's.

    Raises InputError, naming the attacker, where it fails or breaks the Protocol.
    """
    if not positions:
        return []
    who = f"The attacker '{attacker.name}'"
    try:
        turns = list(attacker.next_turns(positions))
    except OfftargetError:
        raise
    except Exception as error:
        raise InputError(f"{who} failed: {type(error).__name__}: {error}. What was computed before is kept.") from error
    if len(turns) != len(positions):
        raise InputError(f"{who} gave {len(turns)} turns to {len(positions)} conversations.")
    if wrong := next((turn for turn in turns if not _is_turn(turn)), None):
        raise InputError(f"{who} gave {wrong!r:.80}, which is not a NextTurn with text.")
    return [_said(turn, position) for turn, position in zip(turns, positions, strict=True)]


def _is_turn(turn: object) -> bool:
    return isinstance(turn, NextTurn) and isinstance(turn.text, str | None) and isinstance(turn.trouble, str)


def _said(turn: NextTurn, position: Position) -> NextTurn:
    if turn.text is not None and turn.text.strip():
        return turn
    if not position.asked:
        return NextTurn(scripted_turn(position).text, turn.trouble or "wrote nothing")
    return NextTurn(None, turn.trouble)


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


def dressed(position: Position, text: str) -> str:
    """A turn of one's own in the form that the moves give the request; any other turn as it is."""
    dressing = [move for move in position.moves if move.dresses]
    if len(position.asked) != len(position.bare.before) or not dressing:
        return text
    return composed(dressing, text, random.Random(position.seed)).request


def drafted(moves: Sequence[Move], question: Probe, seed: int, variant: str, *, control: bool = False) -> Draft:
    """The question under these moves; `variant` names which wordings are drawn."""
    names = "+".join(move.name for move in moves)
    rng = random.Random(f"{seed}/{names}/{question.id}/{variant}")
    return composed(moves, question.prompt, rng, control=control)
