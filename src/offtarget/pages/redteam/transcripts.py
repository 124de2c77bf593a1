"""Conversations beside each other: the tuned model's and its base's under the same words of the user."""

from __future__ import annotations

from collections.abc import Iterable

from offtarget.pages.card import TELLING, Exchange, Side, Turn
from offtarget.pages.redteam.loading import HELD, NOT_CONFIRMED, Conversation, PressedRun
from offtarget.records import Role
from offtarget.records.redteam import CellFinding


def telling(run: PressedRun) -> tuple[Exchange, ...]:
    """A conversation of each weak spot in which the tuned model gave way, those first in which its base held.

    Where it never did, conversations in which it held, under moves of different kinds.
    """
    if found := _brought_down(run):
        return tuple(exchange(run, one, until=one.turn) for one in found)
    held = {one.script.move: one for one in reversed(run.conversations) if one.role == "tuned" and HELD in one.marks}
    return tuple(exchange(run, one) for one in list(held.values())[::-1][:TELLING])


def _brought_down(run: PressedRun) -> list[Conversation]:
    """Those on the card in which a model gave way: the tuned one, and its base, too, where they differ."""
    found = _plainest(run, "tuned")
    if run.record.differs:
        found = [*found[: TELLING - 1], *_plainest(run, "base")[:1]]
    return found[:TELLING]


def _plainest(run: PressedRun, role: Role) -> list[Conversation]:
    """A conversation of each spot in which that model gave way, the plainest contrast first; where it gave way before
    anything pressed, that says the least of the spot.
    """

    def plain(one: Conversation) -> tuple[int, bool, int]:
        return _contrast(run, one), run.unpressed(one), one.turn or 0

    cells = (_gave_way(run, cell, role) for cell in weak_in(run, role))
    return sorted((min(own, key=plain) for own in cells if own), key=plain)


def weak_in(run: PressedRun, role: Role) -> list[CellFinding]:
    """The spots for whose weakness in that model there are fresh conversations; all of them where none was found."""
    return [cell for cell in run.record.cells if not cell.found_in or role in cell.found_in]


def title(run: PressedRun) -> str:
    """What the conversations on the card are."""
    found = _brought_down(run)
    if not found:
        return "No conversation that counts brought the tuned model down; what it answered"
    who, whose = ("one of them", "the other's") if run.record.differs else ("the tuned model", "its base's")
    told = f"Conversations in which {who} gave way"
    together = sum(beside(run, one) is not None for one in found)
    if not together:
        return told
    return f"{told}, beside {whose}" + ("" if together == len(found) else " where it was asked the same")


def shortest(run: PressedRun, cell: CellFinding, role: Role = "tuned") -> Conversation | None:
    """The conversation under that move at that goal in which the model gave way soonest; None where it never did.

    Of those that are as short, one in which the other model held under the same words comes first.
    """
    return min(_gave_way(run, cell, role), key=lambda one: (one.turn or 0, _contrast(run, one)), default=None)


def _gave_way(run: PressedRun, cell: CellFinding, role: Role) -> list[Conversation]:
    return [one for one in run.of_cell(cell.move, cell.goal, role) if one.turn is not None]


def beside(run: PressedRun, one: Conversation) -> Conversation | None:
    """What the other model answered to the same words, in a conversation in which it held where there is one."""
    other: Role = "base" if one.role == "tuned" else "tuned"
    same = [c for c in run.of_cell(one.script.move, one.script.goal, other) if c.script.id == one.script.id]
    return min(same, key=lambda c: (c.turn is not None, HELD not in c.marks), default=None)


def _contrast(run: PressedRun, one: Conversation) -> int:
    """0 where the other model held under the same words, 1 where it was not asked them, 2 where it gave way, too."""
    other = beside(run, one)
    return 1 if other is None else 2 * (other.turn is not None)


def exchange(run: PressedRun, one: Conversation, until: int | None = None) -> Exchange:
    """A conversation with the other model's beside it; `until` the turn after which nothing more is told."""
    script, other = one.script, beside(run, one)
    pair = [one] if other is None else [one, other]
    turns = [
        Turn(asked, tuple(_side(c, number) for c in pair if number < len(c.answers)))
        for number, asked in enumerate(script.turns[:until])
    ]
    where = f"{script.move}, {script.goal}"
    if one.turn is not None:
        who = "" if one.role == "tuned" else "the base "
        where += f"; {who}gave way at turn {one.turn} of {len(script.turns)}{before_pressure(run, one)}"
    where += f"; {_other(one, other)}"
    if script.prefill:
        where += f"; the last answer was begun in the model's place: '{script.prefill}'"
    before = () if script.system is None else (("system", script.system),)
    return Exchange(turns[0].question, turns[0].sides, where, before, tuple(turns[1:]))


def before_pressure(run: PressedRun, one: Conversation) -> str:
    """What must stand beside the turn at which a model gave way before anything pressed it; else empty."""
    return ", before the pressure began" if run.unpressed(one) else ""


def _other(one: Conversation, other: Conversation | None) -> str:
    """What the other model did under the same words."""
    name = "its base" if one.role == "tuned" else "the tuned model"
    if other is None:
        return f"{name} was not asked the same in a conversation that counts"
    if other.turn is not None:
        return f"{name} gave way{', too,' if one.turn is not None else ''} at turn {other.turn}"
    if NOT_CONFIRMED in other.marks:
        return f"{name} was flagged by the judge, which nobody confirmed"
    return f"{name} held" if other.held else f"{name} gave no answer that has a score"


def _side(one: Conversation, number: int) -> Side:
    return Side(one.role, one.answers[number], one.marks[number])


def turns_needed(conversations: Iterable[Conversation], role: Role) -> list[int]:
    """How many conversations of a model first gave way at each turn, from turn 1 on."""
    mine = [one for one in conversations if one.role == role]
    most = max((len(one.script.turns) for one in mine), default=0)
    return [sum(one.turn == number for one in mine) for number in range(1, most + 1)]
