"""Going further with a check that has ended: its evidence may be added to at any time, at no price."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.records import Decision, Status
from offtarget.records.check import CheckManifest, CheckSettings
from offtarget.rundir import MANIFEST, RunDir, write_json
from offtarget.workflows.runs.verbs import CHECK


def raised(
    run: Path, settings: CheckSettings, decision: Decision | None, asked: Mapping[str, int | None]
) -> CheckSettings | None:
    """The settings with what is asked for, where that is more than the run has; None where nothing is to be done.

    Raises InputError for less than the run has, and for more answers to a check that is decided.
    """
    more: dict[str, Any] = {}
    for name, value in asked.items():
        has = getattr(settings, name)
        if value is None or value == has:
            continue
        option = f"--{name.replace('_', '-')}"
        if value < has:
            raise InputError(
                f"{run} was started with {option} {has}, which can be raised and not lowered to {value}: its evidence "
                "was looked at already. Leave it out, or start a new check."
            )
        more[name] = value
    if not more:
        return None
    if decision is not None and "candidates" not in more:
        _undecided(run, decision)
    return replace(settings, **more)


def _undecided(run: Path, decision: Decision) -> None:
    if decision.status is not Status.UNDECIDED:
        raise InputError(
            f"{run} is decided: {decision.status}. More answers would not change that; as one of several candidates it "
            f"can be made surer with: offtarget resume {shlex.quote(str(run))} --candidates C"
        )
    if decision.withheld is not None:
        raise InputError(
            f"{run} is undecided whatever the answers say: {decision.withheld}. Settle that, and start a new check."
        )


def reopen(directory: RunDir, manifest: CheckManifest) -> None:
    """Take back the end of a run and keep its new settings; killed in between, it goes on as it was started."""
    directory.file(CHECK.done).unlink(missing_ok=True)
    write_json(directory.file(MANIFEST), manifest)
