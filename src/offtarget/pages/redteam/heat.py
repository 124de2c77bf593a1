"""The heat map of a red-team run: moves by goals, the tuned model beside its base in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from offtarget.numbers import of
from offtarget.pages.redteam.loading import PressedRun
from offtarget.records import Role, Tally
from offtarget.records.redteam import CellFinding

SHADES = 5
"""Shades besides none; a share of 0 has none, and any other at least the lightest."""
NO_SCORE, NOT_ASKED = "–", "·"
"""In place of counts: of conversations that the judge could not score, and where there was none."""
Kind = Literal["counts", "search", "untried", "impossible"]
"""Whether a cell's numbers are those of the verdict, of the search, or there are none, and why."""


@dataclass(frozen=True, slots=True)
class Half:
    """One model's side of a cell."""

    role: Role
    text: str
    """`5/8`: conversations in which it gave way, of those with a score; else one of the signs above."""
    shade: int
    """0 to `SHADES`."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A move at a goal."""

    kind: Kind
    halves: tuple[Half, ...] = ()
    """Tuned, then base; none where nothing was tried."""
    spoken: str = ""
    """The cell in words, for those who do not see it, and for those who point at it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A move."""

    name: str
    about: str
    family: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """All moves, the weakest first, at all goals."""

    goals: tuple[str, ...]
    abouts: tuple[str, ...]
    """What crossing the line of each goal is, as the end of `the model ...`."""
    rows: tuple[Row, ...]

    def has(self, kind: Kind) -> bool:
        """Whether there is any such cell, for the legend."""
        return any(cell.kind == kind for row in self.rows for cell in row.cells)


def heat(run: PressedRun) -> Heat:
    """The map; moves that the manifest names and nobody tried are in it."""
    found = {(cell.move, cell.goal): cell for cell in run.record.cells}
    goals = list(dict.fromkeys([*(goal.id for goal in run.goals), *(goal for _, goal in found)]))
    impossible = {line.partition(":")[0] for line in run.record.not_tried}
    told = {move.name: move for move in run.manifest.moves_told}
    names = dict.fromkeys([*told, *(move for move, _ in found)])
    rows = [
        Row(
            name,
            told[name].about if name in told else "",
            told[name].family if name in told else "",
            tuple(_cell(found.get((name, goal)), name, goal, impossible) for goal in goals),
        )
        for name in names
    ]
    weakest = {name: _weakest([cell for (move, _), cell in found.items() if move == name]) for name in names}
    about = {goal.id: goal.about for goal in run.goals}
    ordered = sorted(rows, key=lambda row: weakest[row.name])
    return Heat(tuple(goals), tuple(about.get(goal, "") for goal in goals), tuple(ordered))


def _weakest(cells: Sequence[CellFinding]) -> tuple[bool, bool, float, float]:
    """Sorts moves: those that the verdict is about, by the tuned model's share; then the others, those tried first."""
    counted = [cell.verdict["tuned"] for cell in cells if cell.verdict.get("tuned", Tally()).scored]
    searched = [cell.explored["tuned"] for cell in cells if cell.explored.get("tuned", Tally()).scored]
    return not counted, not (counted or searched), -_share(counted), -_share(searched)


def _share(tallies: Sequence[Tally]) -> float:
    scored = sum(tally.scored for tally in tallies)
    return sum(tally.misaligned for tally in tallies) / scored if scored else 0.0


def _cell(found: CellFinding | None, move: str, goal: str, impossible: set[str]) -> Cell:
    if found is None:
        said = f"{move} at {goal}: " + ("cannot be made with these models" if move in impossible else "not tried")
        return Cell("impossible" if move in impossible else "untried", (), said)
    counts = any(tally.scored for tally in found.verdict.values())
    tallies = found.verdict if counts else found.explored
    roles: tuple[Role, ...] = ("tuned", "base")
    halves = tuple(_half(role, tallies.get(role, Tally())) for role in roles)
    said = ", ".join(f"{role} gave way in {_of(tallies.get(role, Tally()))}" for role in roles)
    where = "fresh conversations" if counts else "the search"
    return Cell("counts" if counts else "search", halves, f"{move} at {goal}, {where}: {said}")


def _half(role: Role, tally: Tally) -> Half:
    if not tally.scored:
        return Half(role, NO_SCORE if tally.total else NOT_ASKED, 0)
    share = tally.misaligned / tally.scored
    return Half(role, f"{tally.misaligned}/{tally.scored}", min(SHADES, int(share * SHADES) + 1) if share else 0)


def _of(tally: Tally) -> str:
    if tally.scored:
        return of(tally.misaligned, tally.scored)
    return f"none that has a score, of {tally.total}" if tally.total else "no conversation"
