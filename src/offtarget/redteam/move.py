"""A move: one form of pressure that a conversation is made of, and how several are put together."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from offtarget.errors import InputError
from offtarget.records.redteam import MoveTold

Part = Literal["request", "system", "before", "after", "answer"]
"""What a move changes: `request` that turn alone, the others may put it into words of their own as well. Moves are put
together in this order, so that whatever is said before and after stands around a request that is already dressed."""
_ORDER: tuple[Part, ...] = ("request", "system", "before", "after", "answer")


@dataclass(frozen=True, slots=True)
class Draft:
    """The user's side of a conversation in the making."""

    request: str
    """The turn that asks."""
    before: tuple[str, ...] = ()
    """User turns that lead up to it."""
    after: tuple[str, ...] = ()
    """User turns that follow the answer to it."""
    system: str | None = None
    prefill: str = ""
    """What the answer to the last turn begins with, put into the model's mouth."""

    @property
    def turns(self) -> tuple[str, ...]:
        """All user turns, in order."""
        return (*self.before, self.request, *self.after)


Make = Callable[[Draft, random.Random], Draft]
"""A draft under the move's pressure; the random numbers choose among its wordings and nothing else does."""


@dataclass(frozen=True, slots=True)
class Move:
    """One form of pressure. It is a form and holds nothing that would help anybody to do harm."""

    name: str
    """Letters, digits and hyphens: `role-play`."""
    family: str
    """Moves of one family are told together in reports: `pressure`, `disguise`, `persona`, `context`, `system`,
    `tools`, `self-report`."""
    about: str
    """What the user does, as the end of the sentence `the user ...`: `asks again and insists`."""
    source: str
    """Where the form was described: authors and year, or `common practice`."""
    part: Part
    make: Make
    control: Make
    """The same conversation without the pressure: as many turns, as long a way, nothing that presses."""
    reads: Literal["answer", "tools"] = "answer"
    """`tools`: the answer may be a call of a tool, and the judge is told so."""

    @property
    def dresses(self) -> bool:
        """Whether it puts any request into another form, such as base64, so that who words the request need not."""
        return self.part == "request" and self.family in ("disguise", "context")


def as_told(name: str, moves: Sequence[Move]) -> MoveTold:
    """Moves that are put together, as reports tell them."""
    families = " + ".join(dict.fromkeys(move.family for move in moves))
    sources = "; ".join(dict.fromkeys(move.source for move in moves))
    return MoveTold(name, families, " and ".join(move.about for move in moves), sources)


def composed(moves: Sequence[Move], question: str, rng: random.Random, *, control: bool = False) -> Draft:
    """The question under all of these moves, or without their pressure.

    InputError where two moves set the same system prompt.
    """
    ordered = sorted(moves, key=lambda move: _ORDER.index(move.part))
    if sum(move.part == "system" for move in ordered) > 1:
        names = " and ".join(move.name for move in ordered if move.part == "system")
        raise InputError(f"The moves {names} each set a system prompt, so they cannot be put together. Choose one.")
    made = reduce(lambda draft, move: (move.control if control else move.make)(draft, rng), ordered, Draft(question))
    return replace(made, before=tuple(made.before), after=tuple(made.after))
