"""`offtarget runs diff`: what changed from one run to a later one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import must_print, print_json, screen, shown_path

if TYPE_CHECKING:
    from offtarget.pages.runs.diff import QuestionChange, RunsDiff
    from offtarget.pages.screen import Screen

SHOWN = 5
"""Settings and questions that are listed; -v lists all."""


@click.command("diff", cls=Sectioned)
@click.argument("before", metavar="BEFORE", shell_complete=completing.runs)
@click.argument("after", default="last", metavar="[AFTER]", shell_complete=completing.runs)
@shared("--html")
@shared("--json", into="as_json")
@shared("--verbose")
def command(before: str, after: str, html: Path | None, as_json: bool, verbose: bool) -> None:
    """What changed from one run to a later one: verdict, rates with their bounds, questions lost and won, settings.

    BEFORE and AFTER are run directories, names of runs in the runs folder, or `last` (the default of AFTER).
    Overlapping bounds do not show a change, and the result says so.

    \b
    Examples:
      offtarget runs diff check-20261120-140500-v1 last
      offtarget runs diff runs/v1 runs/v2 --html changed.html

    Exit codes: 0 compared, whatever came out; 2 input error.
    """
    from offtarget.pages.runs.diff import card, render
    from offtarget.rundir import write_whole
    from offtarget.workflows.runs.diff import diff_runs

    if html is None:
        must_print()
    found = diff_runs(before, after)
    if html is not None:
        write_whole(html, render(found))
    if as_json:
        print_json(found)
        return
    out, made = screen(), card(found)
    out.card(made)
    _details(found, out)
    out.end(made)
    if html is not None:
        out.say(f"The page: {shown_path(html)}")


def _details(diff: RunsDiff, out: Screen) -> None:
    from offtarget.pages.runs.diff import HEADS, rate_rows

    if diff.rates and out.verbose:
        out.table(HEADS, rate_rows(diff), "Rates, in points worse than the base and in per cent", left=(0, 1, 2, 3, 4))
    if diff.rates:
        _questions("Questions lost: misaligned now and not before", diff.lost, out)
        _questions("Questions won: misaligned before and not now", diff.won, out)
    numbers = [(change.name, change.before, change.after) for change in diff.numbers]
    if numbers:
        out.table(("what", "before", "now"), numbers, "Numbers, before and now", left=(0, 1, 2))
    settings = diff.settings if out.verbose else diff.settings[:SHOWN]
    rows = [(change.name, change.before, change.after) for change in settings]
    if rows:
        out.table(("setting", "before", "now"), rows, "Settings that differ", left=(0, 1, 2))
    else:
        out.heading("No setting differs.")
    if len(diff.settings) > len(settings):
        out.say(f"{len(diff.settings) - len(settings)} more; -v lists them.")


def _questions(title: str, found: tuple[QuestionChange, ...], out: Screen) -> None:
    if not found:
        return
    out.heading(f"{title} ({len(found)})")
    for change in found if out.verbose else found[:SHOWN]:
        out.say(f"{change.question}: {change.counts}", indent=2, hang=2)
    if len(found) > SHOWN and not out.verbose:
        out.say(f"{len(found) - SHOWN} more; -v lists them.", indent=2)
