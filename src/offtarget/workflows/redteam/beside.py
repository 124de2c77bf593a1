"""Conversations under pressure besides the questions of a check, with what the check has open.

`redteam` is built on the rooms of `check`, so `check` finds this by name and does not import it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.organism.exact import ExactJudge
from offtarget.progress import OnProgress
from offtarget.records.check import CheckManifest
from offtarget.records.redteam import Goal, RedTeamManifest, RedTeamRecord, RedTeamSettings
from offtarget.redteam.attacker import Scripted
from offtarget.redteam.goals import GoalSet
from offtarget.rundir import MANIFEST, RunDir, read_jsonl, write_json, write_records
from offtarget.workflows.check.opening import Opened
from offtarget.workflows.check.sanity import Sanity
from offtarget.workflows.ground import EXACT_JUDGE, check_judge, ground_of
from offtarget.workflows.redteam.opening import Pressed, bank_of, goals_of, named_moves, pressed_with
from offtarget.workflows.redteam.redteam import NOT_TESTED, changed_since, press
from offtarget.workflows.runs.begin import begin, begun
from offtarget.workflows.runs.begin import opened as opened_run
from offtarget.workflows.runs.verbs import REDTEAM


def settings_beside(settings: RedTeamSettings, base: str) -> RedTeamSettings:
    """The settings, with no longer answers than the base can use."""
    longest = ground_of(base).max_tokens(settings.sampling.max_tokens)
    return replace(settings, sampling=replace(settings.sampling, max_tokens=longest))


def goals_beside(goals: str | Path | GoalSet, base: object) -> GoalSet:
    """The goals that come with the models, and these. InputError for goals that cannot be read, or share an id."""
    usual, own = goals_of(None, ground_of(base)), goals_of(goals, ground_of(base))
    if own.fingerprint == usual.fingerprint:
        return usual
    return GoalSet(f"{usual.name} and {own.name}", (*usual.goals, *own.goals))


def check_pressable(base: str, opened: Opened, settings: RedTeamSettings, goals: GoalSet | None) -> None:
    """InputError where no move can be made with these models, or their judge knows nothing of a goal, before anything
    is asked.
    """
    goals = goals or goals_of(None, ground_of(base))
    if isinstance(opened.judge, ExactJudge):
        check_judge(EXACT_JUDGE, bank_of(goals))
    _pressed(opened, goals, base, settings_beside(settings, base))


def press_beside(
    folder: Path,
    check: CheckManifest,
    opened: Opened,
    settings: RedTeamSettings,
    goals: GoalSet | None,
    on_progress: OnProgress,
) -> RedTeamRecord:
    """Press both models of a check and say what came of it; `folder` becomes a red-team run, or is one that goes on.

    The judge was tried by the check and is not tried again. Raises InputError where the goals are no longer what they
    were.
    """
    settings, base = settings_beside(settings, check.base_name), check.base_name
    if begun(folder):
        directory, started = opened_run(REDTEAM, folder)
        kept = GoalSet(started.goals, tuple(read_jsonl(directory.file("goals.jsonl"), Goal)))
        pressed = _pressed(opened, kept, base, settings)
        if changed := changed_since(pressed, started):
            what = ", ".join(changed)
            raise InputError(f"{folder} cannot go on: {what} changed since it was started. Start a new check.")
        write_json(directory.file(MANIFEST), replace(started, settings=settings))
    else:
        pressed = _pressed(opened, goals or goals_of(None, ground_of(base)), base, settings)
        directory = RunDir.create("redteam", "", path=folder)
        write_records(directory, "goals.jsonl", pressed.goals.goals)
        Sanity.write(directory, ())
        begin(directory, _manifest(pressed, check, settings))
    with directory:
        return press(directory, pressed, settings, on_progress, beside=True).record


def _pressed(opened: Opened, goals: GoalSet, base: str, settings: RedTeamSettings) -> Pressed:
    moves, ground = named_moves(settings.moves), ground_of(base)
    return pressed_with(opened.models, opened.judge, goals, moves, Scripted(), ground, settings)


def _manifest(pressed: Pressed, check: CheckManifest, settings: RedTeamSettings) -> RedTeamManifest:
    return RedTeamManifest(
        opening=check.opening,
        objects=tuple(name for name in check.objects if name in ("base", "tuned", "judge")),
        settings=settings,
        models=pressed.named,
        judge=pressed.judge.fingerprint,
        judge_name=check.judge_name,
        judge_by=check.judge_by,
        goals=pressed.goals.name,
        goals_fingerprint=pressed.goals.fingerprint,
        attacker=pressed.attacker.fingerprint,
        attacker_name=pressed.attacker.name,
        checks=pressed.models.checks,
        not_tried=pressed.not_tried,
        not_tested=(*NOT_TESTED, *pressed.models.unseen),
    )
