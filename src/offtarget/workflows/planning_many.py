"""What a check of many candidates would do and take, and which of them cannot be opened, from their files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.records.candidates import CandidateName, NotChecked
from offtarget.records.check import CheckSettings
from offtarget.records.plan import Plan
from offtarget.records.runs import OpenSettings
from offtarget.rundir import runs_root
from offtarget.workflows.check.candidate_names import not_openable
from offtarget.workflows.check.many import candidates_of, none_checked, refuse_people, settings_of
from offtarget.workflows.planning import plan_check
from offtarget.workflows.ready import ready

SHOWN = 5
"""Candidates that cannot be opened named in a plan at most."""


def plan_many(
    base: str,
    tuned: str | Path | Sequence[str],
    *,
    settings: CheckSettings,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
    **asked: Any,
) -> Plan:
    """Of a check of many candidates: that of one, as often as there are candidates, the base's answers once.

    `asked` is what `plan_check` takes besides. Raises InputError where no candidate can be checked.
    """
    candidates, notes = candidates_of(base, tuned)
    cued = asked.get("data") is not None or bool(asked.get("hunt"))
    settings = settings_of(len(candidates), settings, cued=cued)
    refuse_people(asked.get("judge"), asked.get("confirm_with"))
    ready(base, run=run, new_run=True, opening=opening)
    broken = not_openable(candidates, opening)
    good = [one for one in candidates if one.name not in {each.name for each in broken}]
    if not good:
        raise InputError(none_checked(broken))
    one = plan_check(base, good[0].tuned, settings=settings, run=run, opening=opening, **asked)
    count, of_base = len(good), settings.decision.base_per_tuned
    about = [(name, value) for name, value in one.about if name != "tuned"]
    about[1:1] = [("candidates", _named(candidates))]
    if broken:
        about.append(("not checked", _broken(broken)))
    about += [("besides", note) for note in notes]
    return replace(
        one,
        about=tuple(about),
        # what each is asked by itself, and the base once for all; who judges is asked about every answer of a check
        answers=one.answers // (1 + of_base) * (count + of_base),
        judge_calls=one.judge_calls * count,
        tokens=None if one.tokens is None else one.tokens * count,
        seconds=None if one.seconds is None else one.seconds * count,
        cost=None if one.cost is None else one.cost * count,
        work=one.work * count,
        key=f"{one.key}|{count} candidates",
        run=str(run) if run is not None else f"{runs_root()}/check-TIME-{len(candidates)}-candidates",
    )


def _named(candidates: Sequence[CandidateName]) -> str:
    names = ", ".join(one.name for one in candidates[:SHOWN])
    more = f" and {len(candidates) - SHOWN} more" if len(candidates) > SHOWN else ""
    return f"{many(len(candidates), 'candidate')}: {names}{more}"


def _broken(broken: Sequence[NotChecked]) -> str:
    said = " ".join(f"{one.name}: {one.reason}" for one in broken[:SHOWN])
    return f"{said} And {len(broken) - SHOWN} more." if len(broken) > SHOWN else said
