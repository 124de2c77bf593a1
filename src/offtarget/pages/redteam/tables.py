"""The tables of a red-team run, as texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.numbers import of, percent, share_range, whole
from offtarget.pages.screen import ABSENT
from offtarget.records import Role, Tally
from offtarget.records.redteam import CellFinding, MoveTold, RedTeamRecord
from offtarget.stats.rates import total_tally
from offtarget.words import joined

WEAK = ("move", "goal", "tuned gave way", "95 % bounds", "base gave way", "95 % bounds", "turns, tuned", "found in")
TRIED = ("move", "goal", "tuned gave way", "base gave way")
IN_VAIN = ("move", "what the user does", "goals", "conversations, tuned", "conversations, base")


def weak(record: RedTeamRecord) -> list[tuple[str, ...]]:
    """What the verdict is about, the weakest first."""
    rows: list[tuple[str, ...]] = []
    for cell in record.cells:
        if not _counted(cell):
            continue
        rows.append(
            (
                cell.move,
                cell.goal,
                _share(cell, "tuned"),
                _bounds(cell, "tuned"),
                _share(cell, "base"),
                _bounds(cell, "base"),
                _turns(cell.turns.get("tuned")),
                joined(list(cell.found_in)) or "neither",
            )
        )
    return rows


def tried(record: RedTeamRecord) -> list[tuple[str, ...]]:
    """What the search held, most successes first."""
    cells = sorted(record.cells, key=lambda cell: -cell.explored["tuned"].misaligned)
    return [
        (cell.move, cell.goal, _count(cell.explored["tuned"]), _count(cell.explored["base"]))
        for cell in cells
        if any(tally.total for tally in cell.explored.values())
    ]


@dataclass(frozen=True, slots=True)
class InVain:
    """A move under which the tuned model never gave way."""

    told: MoveTold
    goals: tuple[str, ...]
    tuned: Tally
    base: Tally


def in_vain(record: RedTeamRecord, moves: Sequence[MoveTold]) -> list[InVain]:
    """Moves that were tried and never brought the tuned model down, those most tried first."""
    found = []
    for name in dict.fromkeys(cell.move for cell in record.cells):
        cells = [cell for cell in record.cells if cell.move == name]
        tallies = {role: total_tally(part[role] for c in cells for part in (c.explored, c.verdict)) for role in ROLES}
        if tallies["tuned"].misaligned == 0 and tallies["tuned"].total:
            told = next((one for one in moves if one.name == name), MoveTold(name, "", "", ""))
            found.append(InVain(told, tuple(cell.goal for cell in cells), tallies["tuned"], tallies["base"]))
    return sorted(found, key=lambda one: (-one.tuned.total, one.told.name))


ROLES: tuple[Role, ...] = ("tuned", "base")


def in_vain_rows(record: RedTeamRecord, moves: Sequence[MoveTold]) -> list[tuple[str, ...]]:
    """The same as texts."""
    return [
        (one.told.name, one.told.about or ABSENT, ", ".join(one.goals), _count(one.tuned), _count(one.base))
        for one in in_vain(record, moves)
    ]


def untried(record: RedTeamRecord, moves: Sequence[MoveTold], goals: Sequence[str]) -> list[str]:
    """Which goals the tuned model was never asked under each move, a line for each; not moves that could not be made.

    Conversations with the base alone say nothing of the tuned model.
    """
    impossible = {line.partition(":")[0] for line in record.not_tried}
    seen = {(cell.move, cell.goal) for cell in record.cells if _of_both_halves(cell, "tuned").total}
    lines = []
    for move in moves:
        missing = [goal for goal in goals if (move.name, goal) not in seen]
        if missing and move.name not in impossible:
            left = "any goal" if len(missing) == len(goals) else ", ".join(missing)
            lines.append(f"{move.name}, at {left}")
    return lines


def unknown(record: RedTeamRecord, moves: Sequence[MoveTold]) -> list[str]:
    """Moves of which nothing is known for the tuned model, since no conversation with it has a score.

    Moves that could not be made are not among them.
    """
    impossible = {line.partition(":")[0] for line in record.not_tried}
    known = {cell.move for cell in record.cells if _of_both_halves(cell, "tuned").scored}
    return [move.name for move in moves if move.name not in known and move.name not in impossible]


def counts(record: RedTeamRecord) -> str:
    """How many conversations there were, both models: `48 in the search, 60 that count`."""
    overall = record.decision.overall
    searched = f"{whole(record.explored['tuned'])} and {whole(record.explored['base'])} in the search"
    return f"{searched}; {whole(overall.tuned.total)} and {whole(overall.base.total)} that count"


def _of_both_halves(cell: CellFinding, role: Role) -> Tally:
    return total_tally(part.get(role, Tally()) for part in (cell.explored, cell.verdict))


def _counted(cell: CellFinding) -> bool:
    return any(tally.total for tally in cell.verdict.values())


def _share(cell: CellFinding, role: Role) -> str:
    tally, partly = cell.verdict.get(role, Tally()), cell.partly.get(role, 0)
    if not tally.scored:
        return ABSENT
    more = f"; {whole(partly)} in part" if partly else ""
    if unpressed := cell.unpressed.get(role, 0):
        more += f"; {whole(unpressed)} before the pressure"
    return f"{percent(cell.rate.get(role))} ({of(tally.misaligned, tally.scored)}{more})"


def _bounds(cell: CellFinding, role: Role) -> str:
    return share_range(cell.bounds[role]) if role in cell.bounds else ABSENT


def _count(tally: Tally) -> str:
    if tally.scored:
        return of(tally.misaligned, tally.scored)
    return f"no score in {whole(tally.total)}" if tally.total else ABSENT


def _turns(median: float | None) -> str:
    return ABSENT if median is None else f"{median:g}"
