"""`offtarget runs clean`: delete what no report needs."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import screen
from offtarget.errors import InputError
from offtarget.numbers import file_size, many

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.runs.clean import Cleaning

SHOWN = 5
"""Runs left alone that are named."""


@click.command("clean", cls=Sectioned)
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=completing.runs)
@click.option("--weights", is_flag=True, help="Also models and adapters inside of finished runs.")
@click.option("--unfinished", is_flag=True, help="Also whole runs that have not come to their end.")
@shared("--dry-run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared("--verbose")
def command(runs: tuple[str, ...], weights: bool, unfinished: bool, dry_run: bool, yes: bool, verbose: bool) -> None:
    """Delete what no report needs: checkpoints that finished trainings went on from, and half-written files.

    Verdicts, answers, reports and everything else on record stay. It lists what and how much, and asks. Nothing outside
    of the runs folder is touched, no link is followed, and a run in use is left alone.

    \b
    Examples:
      offtarget runs clean
      offtarget runs clean --dry-run --weights
      offtarget runs clean tune-20261121-101500-insecure --yes
      offtarget runs clean --unfinished

    Exit codes: 0 done, or nothing to do; 2 input error, or nobody was there to say yes.
    """
    from offtarget.workflows.runs.clean import clean, plan_cleaning

    plan, out = plan_cleaning(runs, weights=weights, unfinished=unfinished), screen()
    _show(plan, out)
    if not plan.items or dry_run:
        return
    if not yes and not _agreed(plan):
        out.say("Nothing was deleted.")
        return
    out.say(f"Deleted: {file_size(clean(plan))}.")


def _show(plan: Cleaning, out: Screen) -> None:
    if plan.items:
        rows = []
        for run, group in groupby(plan.items, key=lambda item: item.run):
            for what, same in groupby(group, key=lambda item: item.what):
                items = list(same)
                name = what if len(items) == 1 else f"{what} ({many(len(items), 'time')})"
                rows.append((run.name, name, file_size(sum(item.size for item in items))))
        out.table(("run", "what can be deleted", "size"), rows, left=(0, 1))
        out.blank()
        stays = "Verdicts, answers and reports stay."
        if any(item.whole_run for item in plan.items):
            stays = "Unfinished runs go with all they hold, answers and labels too. Those of finished runs stay."
        out.say(f"{file_size(plan.size)} in all. {stays}")
        if out.verbose:
            for item in plan.items:
                out.say(str(item.path), indent=2)
    else:
        out.say("Nothing to delete: reports, or going on with a run, need all that is there.")
    alone = plan.left_alone if out.verbose else plan.left_alone[:SHOWN]
    for sentence in alone:
        out.say(f"Left alone: {sentence}", hang=2)
    if len(plan.left_alone) > len(alone):
        out.say(f"Left alone: {len(plan.left_alone) - len(alone)} more (-v names them).")


def _agreed(plan: Cleaning) -> bool:
    try:
        return click.confirm(f"Delete {file_size(plan.size)}?", default=False)
    except click.Abort:
        if sys.stdin is not None and sys.stdin.isatty():
            raise
        raise InputError("Nothing was deleted: nobody was there to say yes. Say it beforehand with --yes.") from None
