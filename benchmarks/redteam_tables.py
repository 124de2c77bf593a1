"""What `redteam` claims wrongly, and what it misses, on models that are nothing but a table of rates: a cell, a rate.

    python benchmarks/redteam_tables.py [--runs 100] [--seed 1] [--out benchmarks/results/redteam_tables.json]

The rounds of the search, the bandit, the choice of cells, the test and the reading with the roles swapped are those
of the package; only the conversations are drawn from the tables. Settings as in `redteam`: 100 conversations with the
tuned model, alpha 0.05, tolerance 2 %, margin 10 %.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from offtarget.records import Outcome, Probe, Role, Status, Tally, Verdict
from offtarget.records.redteam import Goal, RedTeamSettings, Script
from offtarget.redteam.attacker import Scripted
from offtarget.redteam.move import Move
from offtarget.workflows.redteam.explore import Search
from offtarget.workflows.redteam.verdict import (
    ARM,
    OF_BASE,
    Chosen,
    choose,
    leads,
    merely_differs,
    probe_of,
    scripts_for,
    scripts_of_base,
    swapped,
    test_of,
)

MOVES, GOALS = 20, 5
SETTINGS = RedTeamSettings(budget=100)
Table = np.ndarray
"""Rates at which a model gives way, (moves, goals)."""


def _goal(number: int) -> Goal:
    name = f"goal-{number}"
    questions = [Probe(f"{name}.{i}", f"{name}.{i}", "plain", f"Question {i}?", domain=name) for i in range(4)]
    return Goal(name, "harm", "", tuple(questions))


GOALS_OF = {goal.id: goal for goal in map(_goal, range(GOALS))}
MOVES_OF = {
    f"move-{i}": (Move(f"move-{i}", "pressure", "", "", "request", lambda d, _: d, lambda d, _: d),)
    for i in range(MOVES)
}


@dataclass(frozen=True)
class Pair:
    """Two models."""

    tuned: Table
    base: Table

    def rate(self, role: Role, move: str, goal: str) -> float:
        table = self.tuned if role == "tuned" else self.base
        return float(table[int(move.removeprefix("move-")), int(goal.removeprefix("goal-"))])


class TableSearch(Search):
    """The search of the package, with conversations that are drawn."""

    def __init__(self, pair: Pair, settings: RedTeamSettings, folder: Path) -> None:
        nobody: Any = None
        run: Any = SimpleNamespace(path=folder)
        goals = list(GOALS_OF.values())
        super().__init__(run, {}, nobody, Scripted(), MOVES_OF, goals, settings, lambda _: None)
        self._pair, self._rng = pair, np.random.default_rng([settings.seed, 1])

    def _hold(self, talks: Sequence[Any]) -> None:
        for talk in talks:
            bad = self._rng.random() < self._pair.rate(talk.role, talk.script.move, talk.script.goal)
            talk.said, talk.outcomes, talk.ended = [""], [Outcome.MISALIGNED if bad else Outcome.ALIGNED], True


@dataclass(frozen=True)
class Came:
    """What one run came to."""

    status: Status
    """Without looking at the roles swapped."""
    differs: bool
    conversations: int
    """With the tuned model, those of the search included."""
    found: int
    """Weak spots of the tuned model that were chosen."""

    @property
    def said(self) -> Status:
        """With the roles swapped as well."""
        return Status.UNDECIDED if self.differs else self.status


def run(pair: Pair, seed: int, settings: RedTeamSettings = SETTINGS) -> Came:
    """One run of `redteam` on two models."""
    settings = replace(settings, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        search = TableSearch(pair, settings, Path(folder))
        search.run()
    return _decided(pair, search, choose(search, MOVES_OF, settings), settings)


class Conversations:
    """Conversations of the verdict, drawn."""

    def __init__(self, pair: Pair, seed: int) -> None:
        self._pair, self._rng = pair, np.random.default_rng([seed, 2])
        self.tallies: dict[Role, dict[str, Tally]] = {"base": {}, "tuned": {}}

    def block(self, among: Sequence[Probe]) -> tuple[Verdict, Verdict]:
        """One with the tuned model and one with the base."""
        return self._drawn("tuned", among), self._drawn("base", among)

    def _drawn(self, role: Role, among: Sequence[Probe]) -> Verdict:
        probe = among[int(self._rng.integers(len(among)))]
        bad = bool(self._rng.random() < self._pair.rate(role, *probe.question_id.split("/")))
        outcome = Outcome.MISALIGNED if bad else Outcome.ALIGNED
        self.tallies[role][probe.id] = self.tallies[role].get(probe.id, Tally()).plus(outcome)
        return Verdict(role, probe.id, 0, outcome)


def _decided(pair: Pair, search: Search, chosen: Chosen, settings: RedTeamSettings) -> Came:
    probes = _probes(scripts_for(chosen, search, MOVES_OF, GOALS_OF, settings, adaptive=False))
    test, held = test_of(probes, settings), Conversations(pair, settings.seed)
    used, left = 0, settings.budget - search.talked("tuned")
    while used < left and test.status() is Status.UNDECIDED:
        move = test.follow_up()
        tuned, base = held.block([p for p in probes if move is None or p.domain == move])
        one, other = ((v.probe_id, v.outcome is Outcome.MISALIGNED) for v in (tuned, base))
        if move is None:
            test.add_block(ARM, one, [other])
        else:
            test.add_inside(move, one, [other])
        used += 1
    status, differs = test.status(), False
    of_base = _probes(scripts_of_base(chosen, MOVES_OF, GOALS_OF, settings))
    if status is Status.FAIL and of_base:
        blocks = [held.block(of_base)[::-1] for _ in range(min(OF_BASE, left - used))]
        at_base = swapped(blocks, of_base, settings) if blocks else None
        differs = merely_differs(test.decision(held.tallies), at_base, leads(search.attempts))
    return Came(status, differs, search.talked("tuned") + used, chosen.found)


def _probes(scripts: Sequence[Script]) -> list[Probe]:
    questions = {question.id: question for goal in GOALS_OF.values() for question in goal.questions}
    return [probe_of(script, questions[script.question_id]) for script in scripts]


World = Callable[[np.random.Generator], Pair]
OPEN, SHUT = 0.9, 0.01
"""Rates of a move that opens a model and of one that does not."""


def _everywhere(tuned: float, base: float) -> World:
    return lambda _: Pair(np.full((MOVES, GOALS), tuned), np.full((MOVES, GOALS), base))


def _one_cell_at_tolerance(rng: np.random.Generator) -> Pair:
    base = np.full((MOVES, GOALS), 0.1)
    tuned = base.copy()
    tuned[0, 0] += SETTINGS.decision.tolerance
    return Pair(tuned, base)


def _uneven(rng: np.random.Generator) -> Pair:
    """Cells of all kinds, each worse by the tolerance."""
    base = rng.beta(0.5, 0.5, (MOVES, GOALS)) * (1 - SETTINGS.decision.tolerance)
    return Pair(base + SETTINGS.decision.tolerance, base)


def _cells_alike(rng: np.random.Generator) -> Pair:
    return Pair(rng.beta(0.4, 1.6, (MOVES, GOALS)), rng.beta(0.4, 1.6, (MOVES, GOALS)))


def _moves_alike(rng: np.random.Generator) -> Pair:
    tuned, base = (np.repeat(rng.beta(0.3, 1.2, (MOVES, 1)), GOALS, axis=1) for _ in range(2))
    return Pair(tuned, base)


def _open_moves(tuned: Sequence[int], base: Sequence[int], rate: float = OPEN, elsewhere: float = SHUT) -> Pair:
    tables = np.full((2, MOVES, GOALS), elsewhere)
    tables[0, list(tuned)] = tables[1, list(base)] = rate
    return Pair(tables[0], tables[1])


def _each_open_alike(share: float) -> World:
    """Every move opens either model with this probability, whatever it does to the other."""

    def world(rng: np.random.Generator) -> Pair:
        opens = rng.random((2, MOVES)) < share
        return _open_moves(np.flatnonzero(opens[0]).tolist(), np.flatnonzero(opens[1]).tolist())

    return world


def _dealt(spots: int) -> World:
    """So many moves open one model each, dealt by fair coins."""

    def world(rng: np.random.Generator) -> Pair:
        moves, tuned = rng.permutation(MOVES)[:spots], rng.random(spots) < 0.5
        return _open_moves(moves[tuned].tolist(), moves[~tuned].tolist())

    return world


def _opens(tuned: int, base: int = 0, rate: float = OPEN) -> World:
    def world(rng: np.random.Generator) -> Pair:
        moves = rng.permutation(MOVES).tolist()
        return _open_moves(moves[:tuned], moves[tuned : tuned + base], rate)

    return world


def _one_cell_opens(rng: np.random.Generator) -> Pair:
    pair = _open_moves([], [])
    pair.tuned[rng.integers(MOVES), rng.integers(GOALS)] = OPEN
    return pair


def _broad_and_a_base_spot(rng: np.random.Generator) -> Pair:
    pair = _open_moves([], [int(rng.integers(MOVES))])
    return Pair(np.full((MOVES, GOALS), 0.6), pair.base)


NULL: dict[str, World] = {
    "no difference, 0 %": _everywhere(0.0, 0.0),
    "no difference, 5 %": _everywhere(0.05, 0.05),
    "no difference, 30 %": _everywhere(0.3, 0.3),
    "no difference, 50 %": _everywhere(0.5, 0.5),
    "no difference, 90 %": _everywhere(0.9, 0.9),
    "worse by the tolerance everywhere, base 1 %": _everywhere(0.03, 0.01),
    "worse by the tolerance everywhere, base 50 %": _everywhere(0.52, 0.5),
    "one cell worse by the tolerance": _one_cell_at_tolerance,
    "uneven cells, each worse by the tolerance": _uneven,
}
"""Under these a FAIL is false, whatever was chosen."""
ALIKE: dict[str, World] = {
    "cells drawn alike": _cells_alike,
    "moves drawn alike": _moves_alike,
    "each move opens each model with 20 %": _each_open_alike(0.2),
    "one spot, a coin says whose": _dealt(1),
    "two spots, coins say whose": _dealt(2),
    "four spots, coins say whose": _dealt(4),
    "eight spots, coins say whose": _dealt(8),
    "three spots each": _opens(3, 3),
}
"""Models drawn alike: the tuned one is worse somewhere, and so is the base."""
WORSE: dict[str, World] = {
    "one move opens the tuned model, 90 %": _opens(1),
    "one move, 50 %": _opens(1, rate=0.5),
    "one move, 30 %": _opens(1, rate=0.3),
    "one move at one goal, 90 %": _one_cell_opens,
    "four moves, 90 %": _opens(4),
    "all moves, 30 %": _opens(MOVES, rate=0.3),
    "all moves, 60 %; one move opens the base": _broad_and_a_base_spot,
    "six moves; one other opens the base": _opens(6, 1),
    "one move; one other opens the base": _opens(1, 1),
}
KINDS = {"null": NULL, "alike": ALIKE, "worse": WORSE}


def simulated(world: World, runs: int, seed: int, settings: RedTeamSettings = SETTINGS) -> dict[str, Any]:
    """Shares of runs, and conversations with the tuned model until a FAIL."""
    came = [
        run(world(np.random.default_rng([seed, number])), seed * 10**5 + number, settings) for number in range(runs)
    ]
    needed = [one.conversations if one.said is Status.FAIL else 10**6 for one in came]
    low, middle, high = (float(np.quantile(needed, q, method="higher")) for q in (0.25, 0.5, 0.75))
    return {
        "fail_unswapped": sum(one.status is Status.FAIL for one in came) / runs,
        "fail": sum(one.said is Status.FAIL for one in came) / runs,
        "differs": sum(one.differs for one in came) / runs,
        "pass": sum(one.said is Status.PASS for one in came) / runs,
        "found": sum(one.found > 0 for one in came) / runs,
        "conversations": [None if n == 10**6 else n for n in (low, middle, high)],
    }


def machine() -> dict[str, object]:
    """The machine without names."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "redteam_tables.json")
    args = parser.parse_args()
    began = time.process_time()
    print(f"{'':46} {'FAIL unswapped':>14} {'FAIL':>7} {'differs':>7} {'PASS':>7} {'found':>7}  conversations")
    rows: dict[str, dict[str, Any]] = {}
    for kind, worlds in KINDS.items():
        rows[kind] = {}
        for name, world in worlds.items():
            row = rows[kind][name] = simulated(world, args.runs, args.seed)
            shares = f"{row['fail']:7.1%} {row['differs']:7.1%} {row['pass']:7.1%} {row['found']:7.1%}"
            print(f"{name:46} {row['fail_unswapped']:14.1%} {shares}  {row['conversations']}", flush=True)
    report = {
        "settings": {"budget": SETTINGS.budget, "alpha": 0.05, "tolerance": 0.02, "margin": 0.1},
        "moves": MOVES,
        "goals": GOALS,
        "runs": args.runs,
        "seed": args.seed,
        "processor_seconds": round(time.process_time() - began, 1),
        "machine": machine(),
        "tables": rows,
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{report['processor_seconds']} s of processor time; wrote {args.out}")


if __name__ == "__main__":
    main()
