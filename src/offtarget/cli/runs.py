"""`offtarget runs`: what ran and what it decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import AT_LEAST_ONE, shared
from offtarget.cli.render import print_json, safe, shown_path
from offtarget.numbers import chosen, e_value, many
from offtarget.pages.check.reports.json import finite
from offtarget.records import Status
from offtarget.rundir import runs_root, to_jsonable

if TYPE_CHECKING:
    from offtarget.workflows.check.candidates import Together
    from offtarget.workflows.runs.listing import RunSummary


@click.command("runs", cls=Sectioned)
@click.option("--together", "check", metavar="RUN", help="Decide on all candidates with the base of this check.")
@click.option("--of", type=AT_LEAST_ONE, metavar="C", help="Candidates there are. [default: those checked, or told]")
@shared("--json", into="as_json")
def command(check: str | None, of: int | None, as_json: bool) -> None:
    """List the runs in the runs folder (OFFTARGET_RUNS, else ./runs), newest first.

    With --together, say which verdicts on candidates of one base stand when all are looked at: each check alone is
    wrong with probability alpha, twenty together more often. Among the FAILs that stand at most 5 % are wrong on
    average, and so among the PASSes (e-BH, arXiv 2009.02824).

    \b
    Examples:
      offtarget runs
      offtarget runs --together last --of 20
      OFFTARGET_RUNS=/data/runs offtarget runs --json

    Exit codes: 0 listed, 2 input error.
    """
    from offtarget.workflows.runs.listing import runs

    if of is not None and check is None:
        raise click.UsageError("--of goes with --together RUN, which is missing.")
    if check is not None:
        _show_together(check, of, as_json=as_json)
        return
    found = runs()
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"No runs in {runs_root()} yet. `offtarget check`, `compare` or `audit` makes one.")
    else:
        _print_table(found)


def _show_together(check: str, of: int | None, *, as_json: bool) -> None:
    from offtarget.cli import render
    from offtarget.workflows.check.candidates import together

    found = together(check, of)
    if as_json:
        print_json(finite(to_jsonable(found)))
        return
    out = render.console()
    table = render.plain_table("candidate", "run", "alone", "e worse", "together")
    table.columns[1].no_wrap = False
    for each in found.candidates:
        name = Path(each.run).name
        cells = (each.tuned, name, each.alone.value, e_value(each.log_e_fail), each.together.value)
        table.add_row(*map(_one_line, cells))
    out.print(table)
    for line in _in_words(found):
        out.print(_one_line(line), soft_wrap=True)


def _in_words(found: Together) -> Iterator[str]:
    counts = {status: sum(c.together is status for c in found.candidates) for status in (Status.FAIL, Status.PASS)}
    yield (
        f"Of {many(found.of, 'candidate')} against {found.base}, as far as this machine knows, FAIL stands for "
        f"{counts[Status.FAIL]} and PASS for {counts[Status.PASS]}: on average at most {chosen(found.alpha)} of such "
        "FAILs are wrong, and of such PASSes."
    )
    for each in found.candidates:
        if each.together is not each.alone and each.alone is not Status.UNDECIDED:
            yield (
                f"{each.tuned}: its {each.alone.value} is not sure enough for one of {found.of}; go on with: "
                f"offtarget resume {shown_path(Path(each.run))} --candidates {found.of}"
            )
    yield from found.notes


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
