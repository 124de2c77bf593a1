"""`offtarget report`: a run as a page, JSON, Markdown or JUnit XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import must_print, screen
from offtarget.cli.resume import printer
from offtarget.pages.registry import formats
from offtarget.rundir import read_manifest


def _format_flags(function: Any) -> Any:
    for found in reversed(list(formats().values())):
        help_text = f"{found.summary[:1].upper()}{found.summary[1:]} [{found.filename} in the run]."
        function = click.option(f"--{found.name}", "chosen", flag_value=found.name, help=help_text)(function)
    return function


@click.command("report", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]", shell_complete=completing.runs)
@_format_flags
@shared("--out", ", in place of one in the run; - is standard output", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--open", "open_", is_flag=True, help="Open the written file.")
@shared("--verbose")
def command(run: str, chosen: str | None, out: Path | None, open_: bool, **_: Any) -> None:
    """Turn a run of any verb into evidence other people can read.

    RUN is a run directory, the name of a run in the runs folder, or `last` (the default).
    Without a format, what its verb printed is printed again; with -v all of it.

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
        if open_:
            raise click.UsageError("--open opens what is written: say which, e.g. --html --open.")
        must_print()
        _print_here(run)
        return
    if out is not None and str(out) == "-":
        must_print()
        click.echo(report_text(run, chosen or "text"), nl=False)
        return
    written = report(run, chosen or "text", out)
    click.echo(str(written))
    if open_:
        click.launch(Path(written).resolve().as_uri())


def _print_here(run: str) -> None:
    from offtarget.workflows.runs.begin import finished
    from offtarget.workflows.runs.cards import card
    from offtarget.workflows.runs.listing import find_run
    from offtarget.workflows.runs.resume import read_again
    from offtarget.workflows.runs.verbs import verb_of

    path = find_run(run)
    if finished(verb_of(read_manifest(path)), path) is None:
        out, made = screen(), card(path)
        out.card(made)
        out.end(made)
        return
    printer(path)(read_again(path), as_json=False)
