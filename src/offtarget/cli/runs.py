"""`offtarget runs`: what ran and what it decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from offtarget.cli.options import shared
from offtarget.cli.render import print_json, safe
from offtarget.rundir import runs_root

if TYPE_CHECKING:
    from offtarget.workflows.runs.listing import RunSummary


@click.command("runs")
@shared("--json", into="as_json")
def command(as_json: bool) -> None:
    """List the runs in the runs folder (OFFTARGET_RUNS, else ./runs), newest first.

    \b
    Examples:
      offtarget runs
      OFFTARGET_RUNS=/data/runs offtarget runs --json

    Exit codes: 0 listed, 2 input error.
    """
    from offtarget.workflows.runs.listing import runs

    found = runs()
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"No runs in {runs_root()} yet. `offtarget check`, `compare` or `audit` makes one.")
    else:
        _print_table(found)


def _print_table(found: list[RunSummary]) -> None:
    from offtarget.cli import render

    out = render.console()
    table = render.plain_table("run", "verb", "base or data", "tuned", "verdict", "answers or rows", "when")
    for column in table.columns:
        column.justify, column.no_wrap = "left", False
    table.columns[0].overflow = "fold"
    table.columns[5].justify = "right"
    for run in found:
        counted = run.answers if run.rows is None else run.rows
        cells = (
            run.name,
            run.verb,
            run.data or run.base,
            run.tuned,
            run.state,
            None if counted is None else f"{counted:,}",
            None if run.created is None else run.created[:16].replace("T", " "),
        )
        table.add_row(*(render.ABSENT if cell is None else _one_line(cell) for cell in cells))
    out.print(table)
    for run in found:
        if run.problem:
            out.print(f"{_one_line(run.name)} is broken: {_one_line(run.problem)}", soft_wrap=True)
        if run.resume:
            out.print(f"{_one_line(run.name)} is unfinished; go on with: {_one_line(run.resume)}", soft_wrap=True)
        if run.obstacle:
            out.print(f"{_one_line(run.name)} is unfinished: {_one_line(run.obstacle)}", soft_wrap=True)


def _one_line(text: str) -> str:
    return " ".join(safe(text).split())
