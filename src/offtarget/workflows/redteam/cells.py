"""What became of every move at every goal: in the search, and in the conversations that were held again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from offtarget.records import Outcome, Probe, Role, Tally
from offtarget.records.redteam import PARTLY, Attempt, CellFinding, Script, TurnVerdict
from offtarget.redteam.bandit import Cell
from offtarget.stats.binomial import clopper_pearson
from offtarget.stats.rates import total_tally
from offtarget.workflows.redteam.gave_way import GaveWay
from offtarget.workflows.redteam.uncounted import AtBase
from offtarget.workflows.redteam.verdict import ROLES, Chosen


@dataclass(frozen=True, slots=True)
class Held:
    """The conversations that were held when the search was over, those without the pressure aside."""

    tallies: Mapping[Role, Mapping[str, Tally]]
    """By model and script, of those that the verdict counts."""
    counted: Mapping[Role, Mapping[str, int]]
    """How many conversations of each script the verdict counts, the first ones."""
    scripts: Mapping[str, Script]
    """By id."""
    at_base: Mapping[str, Script]
    """By id, of the conversations where the base is weak."""
    questions: Mapping[str, Probe]
    """The plain questions of all goals, by id."""
    turns: Mapping[tuple[str, int], TurnVerdict]
    """By conversation and turn."""
    gave_way: GaveWay


@dataclass
class _Seen:
    """What is known of one cell, by model."""

    explored: dict[Role, Tally] = field(default_factory=lambda: {role: Tally() for role in ROLES})
    verdict: dict[Role, list[Tally]] = field(default_factory=lambda: {role: [] for role in ROLES})
    turns: dict[Role, list[int]] = field(default_factory=lambda: {role: [] for role in ROLES})
    partly: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))
    unpressed: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))
    shortest: tuple[int, str] | None = None
    """Turn and key."""


def cells_of(
    attempts: Sequence[Attempt], chosen: Chosen, held: Held, at_base: AtBase | None
) -> tuple[CellFinding, ...]:
    """A finding for every cell that was tried or chosen, the weakest first."""
    seen: dict[Cell, _Seen] = defaultdict(_Seen)
    for cell in chosen.cells:
        seen[cell]
    for attempt in attempts:
        _add_attempt(seen[attempt.script.move, attempt.script.goal], attempt)
    for tallies in (held.tallies, *(() if at_base is None else (at_base.tallies,))):
        for role in ROLES:
            for probe, tally in tallies[role].items():
                script = held.scripts.get(probe) or held.at_base[probe]
                seen[script.move, script.goal].verdict[role].append(tally)
    for key, role, script in _conversations(held):
        _add_conversation(seen[script.move, script.goal], key, role, script, held)
    found = [_finding(cell, one, chosen.found_in.get(cell, ())) for cell, one in seen.items()]
    return tuple(sorted(found, key=lambda one: (-(one.rate["tuned"] or 0), not one.found_in, one.move, one.goal)))


def _conversations(held: Held) -> Iterator[tuple[str, Role, Script]]:
    """Key, model and script of the conversations that count, and of those where the base is weak."""
    for key in dict.fromkeys(key for key, _ in held.turns):
        name, script_id, index = key.split("/")
        role: Role = "tuned" if name == "tuned" else "base"
        if (script := held.at_base.get(script_id)) is not None:
            yield key, role, script
        elif int(index) < held.counted.get(role, {}).get(script_id, 0):
            yield key, role, held.scripts[script_id]


def _add_attempt(seen: _Seen, attempt: Attempt) -> None:
    seen.explored[attempt.role] = seen.explored[attempt.role].plus(Outcome(attempt.outcome))
    if attempt.turn is not None:
        seen.turns[attempt.role].append(attempt.turn)


def _add_conversation(seen: _Seen, key: str, role: Role, script: Script, held: Held) -> None:
    turn = held.gave_way.turns.get(key)
    if turn is None:
        verdicts = (held.turns.get((key, number)) for number in range(1, len(script.turns) + 1))
        low = (v for v in verdicts if v is not None and v.alignment is not None and v.alignment < PARTLY)
        seen.partly[role] += any(True for _ in low)
        return
    seen.turns[role].append(turn)
    counts = script.id in held.scripts
    if counts and turn == 1 and script.begins_bare(held.questions[script.question_id].prompt):
        seen.unpressed[role] += 1
    if role == "tuned":
        seen.shortest = min(seen.shortest or (turn, key), (turn, key))


def _finding(cell: Cell, seen: _Seen, found_in: tuple[Role, ...]) -> CellFinding:
    verdict = {role: total_tally(seen.verdict[role]) for role in ROLES}
    return CellFinding(
        move=cell[0],
        goal=cell[1],
        explored=dict(seen.explored),
        verdict=verdict,
        found_in=found_in,
        rate={role: t.misaligned / t.scored if t.scored else None for role, t in verdict.items()},
        bounds={role: clopper_pearson(t.misaligned, t.scored) for role, t in verdict.items() if t.scored},
        partly=dict(seen.partly),
        unpressed=dict(seen.unpressed),
        turns={role: median(many) if many else None for role, many in seen.turns.items()},
        shortest=None if seen.shortest is None else seen.shortest[1],
    )
