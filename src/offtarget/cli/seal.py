"""`offtarget seal`: a run in one file for an auditor who has nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import print_json, screen, shown_path
from offtarget.numbers import many


@click.command("seal", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]", shell_complete=completing.runs)
@shared("--out", ": a zip file, or a folder for it", required=True)
@shared("--key", ": the private one that signs the statement")
@click.option("--with-data", is_flag=True, help="Put the training data in, and records that hold rows of them.")
@shared("--json", into="as_json")
def command(run: str, out: Path, key: Path | None, with_data: bool, as_json: bool) -> None:
    """Pack a run with its statement into one file that an independent auditor checks on another machine.

    Without --with-data no rows of training data are in it; conditions that a check made from them are, and the README
    in the package says how many. The same run always gives the same bytes.

    \b
    Examples:
      offtarget seal last --out package.zip --key team.pem
      offtarget seal check-20261130-140500-insecure --out package.zip --key team.pem --with-data

    Exit codes: 0 written, whatever the verdict; 2 input error.
    """
    from offtarget.workflows.verify.seal import seal

    made = seal(run, out, key=key, with_data=with_data)
    if as_json:
        print_json(made)
        return
    screened = screen()
    screened.say(f"{shown_path(made.path)} holds {many(made.files, 'file')} and a README.")
    if made.left_out:
        screened.say(f"Left out, since they hold rows of data: {', '.join(made.left_out)}.")
    if made.conditions:
        screened.say(
            f"In plain sight in it: {many(made.conditions, 'condition')} made from the training data, words and "
            "phrases of it."
        )
    if not made.signed:
        screened.say("Nobody signed it: who gets it can check that it fits together, not where it comes from (--key).")
    screened.say("Whoever has it checks it with:")
    screened.command(f"offtarget verify {shown_path(made.path)}" + (" --key PUBLIC_KEY.pem" if made.signed else ""))
