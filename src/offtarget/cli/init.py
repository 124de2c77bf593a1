"""`offtarget init`: a project file to begin with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, shared
from offtarget.cli.render import screen, shown_path
from offtarget.errors import InputError
from offtarget.project.keys import FILE_NAME

_ASKED = {
    "base": "The model before fine-tuning (organism/base, hf/PATH, openai/NAME; empty for none)",
    "tuned": "The model after fine-tuning (empty: train it)",
    "data": "The training data (a file or folder; empty for none)",
    "judge": "Who judges the answers (a model; empty for nobody)",
}
"""What is asked on a terminal, where nothing was said of it."""


@click.command("init", cls=Sectioned)
@click.argument("file", default=FILE_NAME, type=FILE, metavar="[FILE]")
@shared("--base")
@shared("--tuned", ". Without it the file says to train one")
@shared("--data")
@shared("--split", ". [default: train]")
@shared("--judge", " the answers, and labels rows of the data")
@click.option("--overwrite", is_flag=True, help="Write the file anew where there is one.")
def command(file: Path, overwrite: bool, **said: Any) -> None:
    """Write a project file: what `offtarget run` audits, trains, checks and reports.

    Every key is there, with a comment that explains it; those that nothing was said of are commented out. On a terminal
    the models, the data and the judge are asked for where they are not given; elsewhere nothing is asked.

    \b
    Examples:
      offtarget init
      offtarget init --base organism/base --tuned organism/insecure --data train.jsonl
      offtarget init --base hf/./base --data train.jsonl --judge openai/gpt-4o-2024-08-06

    Exit codes: 0 once the file is written, 2 input error.
    """
    from offtarget.workflows.project.begin import begin_project, refuse_written

    refuse_written(file, overwrite=overwrite)
    if not any(said.values()) and sys.stdin.isatty() and sys.stderr.isatty():
        said = {name: _answer(text) for name, text in _ASKED.items()}
    written = begin_project(file, **said, overwrite=overwrite)
    out = screen()
    out.say(f"Wrote {written}. Every key is explained in it.")
    if not any(said.values()):
        out.say("It names nothing yet: fill in data, base and tuned, or write it anew with --base, --tuned and --data.")
        return
    named = "" if written.name == FILE_NAME else f" --file {shown_path(written)}"
    out.say("See what would be done, then do it:")
    out.command(f"offtarget run{named} --dry-run")
    out.command(f"offtarget run{named}")
    out.say("Runs are kept in runs/, trained models in adapters/; add both to .gitignore unless you want them in git.")


def _answer(text: str) -> str | None:
    """What is typed; None for nothing."""
    try:
        said = str(click.prompt(text, default="", show_default=False, err=True)).strip()
    except click.Abort:
        raise InputError("Nothing was written.") from None
    return said or None
