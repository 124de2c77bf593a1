"""`offtarget report`: a run as a page, JSON, Markdown or JUnit XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import print_decision
from offtarget.cli.resume import printer
from offtarget.pages.registry import formats
from offtarget.records import Status
from offtarget.rundir import read_manifest


def _format_flags(function: Any) -> Any:
    for found in reversed(list(formats().values())):
        help_text = f"{found.summary[:1].upper()}{found.summary[1:]} [{found.filename} in the run]."
        function = click.option(f"--{found.name}", "chosen", flag_value=found.name, help=help_text)(function)
    return function


@click.command("report", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]")
@_format_flags
@shared("--out", ", in place of one in the run; - is standard output", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--open", "open_", is_flag=True, help="Open the written file.")
def command(run: str, chosen: str | None, out: Path | None, open_: bool) -> None:
    """Turn a run into evidence other people can read.

    RUN is a run directory, the name of a run in the runs folder, or `last` (the default).
    Without a format the verdict is printed here.

    \b
    Examples:
      offtarget report last
      offtarget report last --html
      offtarget report runs/check-20261120-140500-insecure --junit --out build/offtarget.xml
      offtarget report last --markdown --out -        # to standard output

    Exit codes: 0 once the report is written, whatever the verdict; 2 input error.
    """
    from offtarget.workflows.runs.report import report, report_text

    if chosen is None and out is None:
        _print_here(run)
        return
    if out is not None and str(out) == "-":
        click.echo(report_text(run, chosen or "text"), nl=False)
        return
    written = report(run, chosen or "text", out)
    click.echo(str(written))
    if open_:
        click.launch(Path(written).resolve().as_uri())


def _print_here(run: str) -> None:
    from offtarget.pages.check.loading import load_run
    from offtarget.pages.registry import is_audit
    from offtarget.workflows.runs.listing import find_run
    from offtarget.workflows.runs.report import TERMINAL, own_report, report
    from offtarget.workflows.runs.resume import resume
    from offtarget.workflows.runs.verbs import verb_of

    path = find_run(run)
    verb = verb_of(read_manifest(path))
    if verb.page is not None:
        own_report(path, verb, TERMINAL)
        printer(path)(resume(path), as_json=False)
        return
    decision = None if is_audit(path) else load_run(path).decision
    if decision is None:
        click.echo(report(path), nl=False)
        return
    from offtarget.workflows.check.quotes import worst_quotes

    quotes = [] if decision.status is Status.PASS else worst_quotes(path, decision)
    print_decision(decision, path, quotes=quotes)
