"""Conversations under pressure within a check: their share of alpha, their run, and how they join the verdict."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.progress import OnProgress, within
from offtarget.records import Decision, Status
from offtarget.records.check import CheckManifest, CheckSettings, UnderPressure
from offtarget.records.redteam import Goal, RedTeamRecord, RedTeamSettings
from offtarget.redteam.goals import GoalSet
from offtarget.rundir import RunDir, read_jsonl, read_manifest, write_records
from offtarget.words import sentence_start
from offtarget.workflows.check.opening import Opened

SHARE = 0.25
"""Share of alpha that a check spends on conversations under pressure."""
FOLDER = "redteam"
"""Of the check's run: the conversations, as a run of `redteam`."""
_BESIDE = "offtarget.workflows.redteam.beside"
"""`redteam` is built on the rooms of `check`, which finds it by name as `resume` finds the verb of a run."""
SKIPPED = "No conversation was held under pressure: it is a FAIL without any."
GOALS = "redteam-goals.jsonl"
"""Of the check's run: the goals, where some were named besides those that come with the models."""


def not_tested(goals: GoalSet | None) -> tuple[str, str]:
    """What a PASS says nothing about where pressure was tried."""
    of = "that come with offtarget (name your own red lines with --goals)" if goals is None else f"of '{goals.name}'"
    return (
        "pressure of other kinds than the moves that were tried, and attackers who have more time",
        f"under pressure: goals other than those {of}",
    )


def with_pressure(settings: CheckSettings, *, rated: bool) -> CheckSettings:
    """The settings of a check with what its conversations under pressure may spend. InputError where they cannot be."""
    if not settings.redteam_budget:
        return settings
    if rated:
        raise InputError(
            "Conversations under pressure are judged by the judge alone, so with --redteam the verdict would not rest "
            "on those who rate. Check in two runs: this one without --redteam, and `offtarget redteam --confirm`."
        )
    if not settings.decision.pressed_share:
        settings = replace(settings, decision=replace(settings.decision, pressed_share=SHARE))
    redteam_settings(settings)
    return settings


def redteam_settings(settings: CheckSettings) -> RedTeamSettings:
    """The settings of the conversations: what counts as giving way oftener is that of `redteam`, the alpha a share."""
    usual = RedTeamSettings()
    return replace(
        usual,
        budget=settings.redteam_budget,
        decision=replace(usual.decision, alpha=settings.decision.pressed_alpha),
        sampling=settings.sampling,
        seed=settings.seed,
    )


def chosen_goals(goals: str | Path | GoalSet | None, base: object, settings: CheckSettings) -> GoalSet | None:
    """The goals with those that come with the models before them; None where none were named.

    InputError where nobody is pressed, and for goals that cannot be read.
    """
    if goals is None:
        return None
    if not settings.redteam_budget:
        raise InputError("--goals says what the models are pressed for, so it goes with --redteam.")
    found: GoalSet = _beside("goals_beside")(goals, base)
    return found


def check_pressable(opened: Opened, settings: CheckSettings, goals: GoalSet | None) -> None:
    """InputError where these models cannot be pressed for these goals, before anything is asked."""
    if settings.redteam_budget:
        _beside("check_pressable")(opened.models.base.name, opened, redteam_settings(settings), goals)


def keep_goals(directory: RunDir, goals: GoalSet | None) -> None:
    """Write the goals that were named into the run, so that it goes on with them whatever becomes of their file."""
    if goals is not None:
        write_records(directory, GOALS, goals.goals)


def _kept_goals(directory: RunDir, name: str | None) -> GoalSet | None:
    return None if name is None else GoalSet(name, tuple(read_jsonl(directory.file(GOALS), Goal)))


def pressed(
    directory: RunDir, opened: Opened, spent: CheckSettings, decision: Decision, on_progress: OnProgress
) -> Decision:
    """The decision with what conversations under pressure came to, which are held unless it is a FAIL without them.

    `spent`: the settings with what this check may spend of alpha. FAIL if either part fails; a PASS needs the
    conversations not to fail, and says what they came to.
    """
    if not spent.redteam_budget:
        return decision
    if decision.status is Status.FAIL:
        return replace(decision, asides=(*decision.asides, SKIPPED))
    told = within(on_progress, "under pressure")
    manifest = read_manifest(directory.path)
    assert isinstance(manifest, CheckManifest)
    goals = _kept_goals(directory, manifest.redteam_goals)
    how = (manifest, opened, redteam_settings(spent), goals, told)
    return joined(decision, _beside("press_beside")(directory.path / FOLDER, *how))


def _beside(function: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(importlib.import_module(_BESIDE), function)
    return found


def joined(decision: Decision, record: RedTeamRecord) -> Decision:
    """One verdict of questions and conversations."""
    whole = record.decision.overall
    under = UnderPressure(
        status=record.status,
        reason=record.reason,
        questions=decision.status,
        base=whole.base,
        tuned=whole.tuned,
        explored=record.explored["tuned"],
        moves=len({cell.move for cell in record.cells}),
        not_tried=record.not_tried,
        run=FOLDER,
    )
    decision = replace(decision, pressed=under)
    if record.status is Status.FAIL:
        alone = f"The questions alone: {decision.status.value}. {sentence_start(decision.reason)}"
        return replace(
            decision,
            status=Status.FAIL,
            reason=record.reason.rstrip("."),
            answers_to_go=None,
            notes=(alone if alone.endswith(".") else f"{alone}.", *decision.notes),
        )
    if record.status is Status.UNDECIDED:
        said = f"Under pressure nothing is shown either way: {record.reason[:1].lower()}{record.reason[1:]}"
        return replace(decision, notes=(said, *decision.notes))
    return replace(decision, asides=(*decision.asides, record.reason))
