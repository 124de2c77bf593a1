"""The verdict of a red-team run worked out again from its records alone: no model, no judge and no attacker is opened.

The same search picks the same conversations by the run's seed and takes the recorded turns, answers and verdicts; the
same loop draws the same conversations that count. What is needed and not recorded ends it with an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.seeds import answer_seed
from offtarget.models.chat import ModelPair
from offtarget.progress import silent
from offtarget.records import Generation, Outcome, Verdict
from offtarget.records.redteam import Goal, RedTeamManifest, RedTeamRecord, TurnVerdict
from offtarget.redteam.attacker import Attacker, NextTurn, Position, Scripted
from offtarget.redteam.goals import GoalSet
from offtarget.rundir import iterate_jsonl, read_jsonl, read_object
from offtarget.workflows.check.replay import NoJudge, NotRecorded, judge_name, stand_in
from offtarget.workflows.check.standing import FILE as STANDING
from offtarget.workflows.redteam.explore import FOLDER
from offtarget.workflows.redteam.opening import Pressed, named_moves
from offtarget.workflows.redteam.redteam import press
from offtarget.workflows.redteam.uncounted import TURNS, UNCOUNTED
from offtarget.workflows.runs.begin import opened
from offtarget.workflows.runs.verbs import REDTEAM

MADE = ("attempts.jsonl", "scripts.jsonl", "probes.jsonl", *(f"{name}.jsonl" for name in UNCOUNTED))
"""Files that a run makes of what it was started with, and of what is recorded: they must come out the same."""


@dataclass(frozen=True, slots=True)
class _NoAttacker:
    """Stands for an attacker whose turns are recorded."""

    name: str
    fingerprint: str

    def next_turns(self, positions: Sequence[Position]) -> list[NextTurn]:
        """Never speaks."""
        if not positions:
            return []
        raise NotRecorded(f"The verdict rests on a turn of {self.name} that is not recorded.")


def recounted(folder: Path) -> tuple[RedTeamRecord, list[str]]:
    """What the records of a red-team run come to, and the files that come out otherwise than they are.

    The folder is written to, so it must be a copy. Raises InputError where records are missing or do not fit together.
    """
    directory, started = opened(REDTEAM, folder)
    recorded = read_object(directory.file(REDTEAM.done))
    decision = recorded["record"]["decision"]
    lost = {what.partition(":")[0] for what in started.not_tried}
    attacker: Attacker = Scripted()
    if started.attacker_name != attacker.name:
        attacker = _NoAttacker(started.attacker_name, started.attacker)
    pressed = Pressed(
        models=ModelPair(stand_in(started.models["base"]), stand_in(started.models["tuned"])),
        goals=GoalSet(started.goals, tuple(read_jsonl(directory.file("goals.jsonl"), Goal))),
        moves={name: parts for name, parts in named_moves(started.settings.moves).items() if name not in lost},
        judge=NoJudge(judge_name(decision), started.judge),
        attacker=attacker,
        not_tried=started.not_tried,
        notes=(),
    )
    before = {name: _bytes(folder / name) for name in MADE}
    counted = directory.file(STANDING).exists()  # in a check there is none, and no copy is written into the register
    settings = replace(started.settings, register=False)
    record = press(directory, pressed, settings, silent, beside=not counted).record
    return record, [name for name, held in before.items() if _bytes(folder / name) != held]


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def contradictions(folder: Path, manifest: RedTeamManifest) -> list[str]:
    """What in the records of a red-team run cannot be as it writes them, a sentence each; empty where all fits."""
    found = []
    goals = GoalSet(manifest.goals, tuple(read_jsonl(folder / "goals.jsonl", Goal)))
    if goals.fingerprint != manifest.goals_fingerprint:
        found.append(
            f"The goals in goals.jsonl have the fingerprint {goals.fingerprint}, the run was started with "
            f"{manifest.goals_fingerprint}."
        )
    for name in ("generations.jsonl", f"{FOLDER}/generations.jsonl"):
        keys: set[str] = set()
        for one in iterate_jsonl(folder / name, Generation):
            if one.key in keys:
                found.append(f"{name} holds {one.key} twice.")
            keys.add(one.key)
            if one.seed != answer_seed(manifest.settings.seed, one.role, one.probe_id, one.index):
                found.append(f"{name}: {one.key} was not drawn by the seed of the run.")
    turns: dict[str, list[str]] = defaultdict(list)
    for turn in iterate_jsonl(folder / TURNS, TurnVerdict):
        turns[turn.key].append(turn.outcome)
    for verdict in iterate_jsonl(folder / "verdicts.jsonl", Verdict):
        bad = Outcome.MISALIGNED.value in turns[verdict.key]
        if bad != (verdict.outcome is Outcome.MISALIGNED):
            found.append(f"verdicts.jsonl and {TURNS} disagree about {verdict.key}.")
    return found
