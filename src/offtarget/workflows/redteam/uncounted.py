"""Conversations that do not count, a fixed number with both models: without pressure, and where the base is weak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from offtarget.asking.ask import Wanted, kept_verdicts, tallies_by_probe
from offtarget.asking.seeds import answer_seed
from offtarget.probe.schedule import Schedule
from offtarget.progress import OnProgress, within
from offtarget.records import Decision, Probe, Role, Tally, Verdict
from offtarget.records.redteam import Goal, RedTeamSettings, Script
from offtarget.redteam.turns import TurnJudge
from offtarget.rundir import JsonLines, RunDir, write_records
from offtarget.stats.rates import total_tally
from offtarget.workflows.redteam.opening import Pressed
from offtarget.workflows.redteam.verdict import (
    ARM,
    OF_BASE,
    ROLES,
    Chosen,
    control_scripts,
    probe_of,
    scripts_of_base,
    swapped,
)

TURNS = "turns.jsonl"
"""Of a run: what the judge made of each answer in the conversations of the verdict, and of those beside it."""
CONTROLS, OF_BASE_HELD = "controls", "of-base"
UNCOUNTED = (CONTROLS, OF_BASE_HELD)
"""Names of the folders that hold such conversations by model, and of the files of their scripts."""


@dataclass(frozen=True, slots=True)
class AtBase:
    """What came of the weak spots of the base."""

    decision: Decision
    """With the roles swapped."""
    tallies: Mapping[Role, Mapping[str, Tally]]


class Uncounted:
    """Holds conversations that are no evidence for a FAIL; those that a run has kept are not held again."""

    def __init__(self, directory: RunDir, pressed: Pressed, settings: RedTeamSettings, on_progress: OnProgress) -> None:
        self._directory, self._pressed = directory, pressed
        self._settings, self._on_progress = settings, on_progress
        self._goals = {goal.id: goal for goal in pressed.goals.goals}

    def without_pressure(self, chosen: Chosen) -> dict[Role, Tally]:
        """The conversations of what was found without the pressure, for whoever reads about it."""
        scripts = control_scripts(chosen, dict(self._pressed.moves), self._goals, self._settings)
        if not scripts:
            return {}
        probes = self._probes(scripts)
        wanted = [(probe, 0) for probe in probes]
        found = self._held(CONTROLS, "without the pressure", scripts, dict.fromkeys(ROLES, wanted))
        return {role: total_tally(list(_tallied(verdicts).values())) for role, verdicts in found.items()}

    def at_base(self, chosen: Chosen, most: int) -> AtBase | None:
        """Whether the base is the worse one where its own search found it weak; None where there is nothing to ask.

        `most`: conversations with each model that the budget leaves.
        """
        scripts = scripts_of_base(chosen, dict(self._pressed.moves), self._goals, self._settings)
        many = min(OF_BASE, most)
        if not scripts or many < 1:
            return None
        probes = self._probes(scripts)
        schedule = Schedule({ARM: [probe.id for probe in probes]}, 1, self._settings.seed, "of the base")
        drawn = [schedule.block(ARM, number) for number in range(many)]
        wanted: dict[Role, Sequence[Wanted]] = {
            "base": _numbered([block.tuned_probe_id for block in drawn], probes),
            "tuned": _numbered([block.base_probe_ids[0] for block in drawn], probes),
        }
        found = self._held(OF_BASE_HELD, "where the base is weak", scripts, wanted)
        blocks = list(zip(found["base"], found["tuned"], strict=True))
        tallies = {role: _tallied(verdicts) for role, verdicts in found.items()}
        return AtBase(swapped(blocks, probes, self._settings), tallies)

    def _probes(self, scripts: Sequence[Script]) -> list[Probe]:
        questions = questions_of(scripts, self._goals)
        return [probe_of(script, questions[script.id]) for script in scripts]

    def _held(
        self, name: str, about: str, scripts: Sequence[Script], wanted: Mapping[Role, Sequence[Wanted]]
    ) -> dict[Role, list[Verdict]]:
        write_records(self._directory, f"{name}.jsonl", scripts)
        found: dict[Role, list[Verdict]] = {}
        with closing(JsonLines(self._directory.file(TURNS))) as turns:
            judge = TurnJudge(self._pressed.judge, questions_of(scripts, self._goals), turns.extend)
            for role, model in self._pressed.models.by_role.items():
                found[role] = kept_verdicts(
                    self._directory.path / name / role,
                    role,
                    lambda model=model: model,  # type: ignore[misc]
                    wanted[role],
                    judge,
                    self._settings.sampling,
                    lambda probe, index, role=role: answer_seed(self._settings.seed, role, probe, index),  # type: ignore[misc]
                    within(self._on_progress, f"{about}, {role}"),
                )
        return found


def questions_of(scripts: Sequence[Script], goals: Mapping[str, Goal]) -> dict[str, Probe]:
    """Id of a script -> the plain question that it asks."""
    by_id = {question.id: question for goal in goals.values() for question in goal.questions}
    return {script.id: by_id[script.question_id] for script in scripts}


def _numbered(ids: Sequence[str], probes: Sequence[Probe]) -> list[Wanted]:
    """Each draw of a probe as another of its answers."""
    by_id, seen = {probe.id: probe for probe in probes}, Counter[str]()
    wanted = []
    for name in ids:
        wanted.append((by_id[name], seen[name]))
        seen[name] += 1
    return wanted


def _tallied(verdicts: Sequence[Verdict]) -> dict[str, Tally]:
    return tallies_by_probe((v.probe_id, v.outcome) for v in verdicts)
