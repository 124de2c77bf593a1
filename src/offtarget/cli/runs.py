"""`offtarget runs`: what ran and what it decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.lazy import LazyGroup
from offtarget.cli.options import AT_LEAST_ONE, shared
from offtarget.cli.render import ABSENT, must_print, print_json, screen, shown_path
from offtarget.numbers import many

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.runs.listing import RunSummary

COMMANDS = {
    "diff": "What changed from one run to another: verdicts, rates, questions, settings.",
    "clean": "Delete what no report needs.",
}
SHOWN = 3
"""Unfinished and broken runs that are explained below the list; -v explains all."""


class _Runs(LazyGroup, Sectioned):
    """A list with options of its own, and commands about runs beside it."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As of a verb."""
        Sectioned.format_help(self, ctx, formatter)

    def _write_options(self, ctx: click.Context, formatter: click.HelpFormatter, everything: bool) -> int:
        self.format_commands(ctx, formatter)
        return Sectioned._write_options(self, ctx, formatter, everything)


@click.group("runs", cls=_Runs, sentences=COMMANDS, prefix="offtarget.cli.runs_", invoke_without_command=True)
@click.option("--verb", metavar="VERB", help="Only runs of this verb, e.g. check or repair.")
@click.option("--verdict", metavar="WORD", help="Only PASS, FAIL, UNDECIDED, OK, ALARM, DONE, UNFINISHED or BROKEN.")
@click.option("--since", metavar="WHEN", help="Only runs started since: 2026-11-01, 12h, 2d or 3w.")
@click.option(
    "--together",
    "check",
    metavar="RUN",
    shell_complete=completing.runs,
    help="Decide on all candidates with the base of this check.",
)
@click.option("--of", type=AT_LEAST_ONE, metavar="C", help="Candidates there are. [default: those checked, or told]")
@shared("--html", ": with --together, the candidates in order of time")
@shared("--json", into="as_json")
@shared("--verbose")
@click.pass_context
def command(
    context: click.Context,
    verb: str | None,
    verdict: str | None,
    since: str | None,
    check: str | None,
    of: int | None,
    html: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """List the runs in the runs folder (OFFTARGET_RUNS, else ./runs), newest first.

    With --together, say which verdicts on candidates of one base stand when all are looked at: each check alone is
    wrong with probability alpha, twenty together more often. Among the FAILs that stand at most 5 % are wrong on
    average, and so among the PASSes (e-BH, arXiv 2009.02824).

    \b
    Examples:
      offtarget runs
      offtarget runs --verb check --verdict FAIL --since 2d
      offtarget runs diff BEFORE last
      offtarget runs clean
      offtarget runs --together last --of 20 --html candidates.html
      OFFTARGET_RUNS=/data/runs offtarget runs --json

    Exit codes: 0 listed, 2 input error.
    """
    if context.invoked_subcommand is not None:
        given = [name for name, value in context.params.items() if value]
        if given:
            raise click.UsageError(f"The options of `offtarget runs` do not go with `{context.invoked_subcommand}`.")
        return
    if check is None and (of is not None or html is not None):
        name = "--of" if of is not None else "--html"
        raise click.UsageError(f"{name} goes with --together RUN, which is missing.")
    if check is not None:
        from offtarget.cli.runs_together import show

        show(check, of, html, as_json=as_json)
        return
    from offtarget.workflows.runs.listing import runs

    must_print()
    found = runs(verb=verb, verdict=verdict, since=since)
    if as_json:
        print_json(found)
    elif found:
        _show(found, screen())
    else:
        _show_none(screen(), filtered=bool(verb or verdict or since))


def _show_none(out: Screen, *, filtered: bool) -> None:
    from offtarget.rundir import runs_root
    from offtarget.workflows.runs.listing import runs

    root = shown_path(runs_root())
    if filtered and (all_ := len(runs())):
        out.say(f"None of {many(all_, 'run')} is like that, in this folder:")
        out.command(root)
        return
    out.say("No runs yet in this folder:")
    out.command(root)
    out.say("The first one takes a few seconds and downloads nothing:")
    out.command("offtarget check --base organism/base --tuned organism/insecure")


def _show(found: Sequence[RunSummary], out: Screen) -> None:
    from offtarget.workflows.runs.listing import BROKEN, UNFINISHED

    rows = [
        (one.name, one.verb or ABSENT, one.state, (one.about if out.verbose else one.short) or ABSENT, _when(one))
        for one in found
    ]
    out.table(("run", "verb", "verdict", "about", "started"), rows, left=(0, 1, 2, 3))
    told = [one for one in found if one.outcome]
    if told:
        out.blank()
    for one in _some(told, out):
        out.say(f"{one.name}: {one.outcome}", hang=2)
    _rest(told, "done", out)
    stopped = [one for one in found if one.state == UNFINISHED]
    broken = [one for one in found if one.state == BROKEN]
    if stopped:
        out.blank()
    for one in _some(stopped, out):
        if one.resume:
            out.say(f"{one.name} is unfinished; go on with:")
            out.command(one.resume)
        else:
            said, _, command = (one.obstacle or "").rpartition(" with: ")
            out.say(
                f"{one.name} is unfinished: {said.rstrip(',')}:" if said else f"{one.name} is unfinished: {command}"
            )
            if said:
                out.command(command)
    _rest(stopped, "unfinished", out)
    if broken:
        out.blank()
    for one in _some(broken, out):
        problem = (one.problem or "").replace(f"{one.path}/", "")
        out.say(f"{one.name} is broken: {problem.rstrip('.')}.")
    _rest(broken, "broken", out)


def _some(found: Sequence[RunSummary], out: Screen) -> Sequence[RunSummary]:
    return found if out.verbose else found[:SHOWN]


def _rest(found: Sequence[RunSummary], what: str, out: Screen) -> None:
    if len(found) > len(_some(found, out)):
        out.say(f"{len(found) - SHOWN} more are {what}; see them with -v.")


def _when(run: RunSummary) -> str:
    """`20 Nov 14:05` by this machine's clock; another year's is `2025-11-20`."""
    began = datetime.fromtimestamp(run.began).astimezone()
    this_year = began.year == datetime.now().astimezone().year
    return f"{began.day} {began.strftime('%b %H:%M')}" if this_year else began.date().isoformat()
