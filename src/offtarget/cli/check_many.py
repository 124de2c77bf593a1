"""`offtarget check` of many candidates against one base: `--tuned-dir`, or `--tuned` several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.options import engine, opening, pick
from offtarget.cli.render import print_json, show_run
from offtarget.records.check import CheckSettings
from offtarget.rundir import read_json

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.records.candidates import CandidatesReport
    from offtarget.workflows.check.many import CandidatesResult

_ALONE = ("confirm", "judge_finds", "base_at_most", "base_labels", "reviewers")
"""Options of a check that people read for."""


def check_candidates(o: dict[str, Any], settings: CheckSettings, *, as_json: bool, quiet: bool) -> int:
    """Check all of them and print what they came to; the exit code."""
    from offtarget.cli import plans
    from offtarget.cli.progress import shown
    from offtarget.workflows.check.many import check_many
    from offtarget.workflows.planning_many import plan_many

    for name in _ALONE:
        if o[name]:
            raise click.UsageError(
                f"--{name.replace('_', '-')} has people read the answers of one check. Check candidates without it, "
                "and have people confirm the one that you mean to use."
            )
    tuned = o["tuned_dir"] or o["tuned"]
    asked = pick(o, "probes", "judge", "prefix", "data", "hunt", "confirm_with", "certificate", "run")
    engine(o)  # before anything is looked at
    asked |= {"arms": o["arms"] or None, "settings": settings, "opening": opening(o)}
    plan = plan_many(o["base"], tuned, **asked)
    if o["dry_run"]:
        return plans.show_plan(plan, as_json=as_json)
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json), beside=_beside) as on_progress:
        result = check_many(
            o["base"],
            tuned,
            **asked,
            **pick(o, "judge_by", "split", "look_at"),
            engine=engine(o),
            on_progress=on_progress,
        )
    plans.done(plan, result.run)
    return show(result, as_json=as_json)


def _beside(detail: object) -> str:
    return detail if isinstance(detail, str) else ""


def show(result: CandidatesResult, *, as_json: bool) -> int:
    """Print what all candidates came to; the exit code."""
    if as_json:
        print_json({"run": str(result.run), **read_json(result.run / "candidates.json")})
    else:
        show_run(result.run, always=lambda out: _table(result.record, out), page="All candidates on one page")
    return result.record.status.exit_code


def _table(report: CandidatesReport, out: Screen) -> None:
    from offtarget.pages.candidates.table import HEADS, rows

    out.blank()
    out.table(HEADS, rows(report), left=(0, 1))
