"""`offtarget canary pause`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli.at_gateway import ORDERED, order
from offtarget.cli.help import Sectioned


@click.command("pause", cls=Sectioned)
@ORDERED
def command(**o: Any) -> None:
    """Stop the ramp of the tuned model; its share stays.

    An alarm still acts. `offtarget canary resume` goes on.

    \b
    Examples:
      offtarget canary pause --reason "stay at this share over the weekend"
      offtarget canary pause --alias assistant --who ada --reason "stay at this share over the weekend"

    Exit codes: 0 done, 2 refused or input error.
    """
    order("pause", o)
