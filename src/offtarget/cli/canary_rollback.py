"""`offtarget canary rollback`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli.at_gateway import ORDERED, order
from offtarget.cli.help import Sectioned


@click.command("rollback", cls=Sectioned)
@ORDERED
def command(**o: Any) -> None:
    """Send all traffic to the base at once: the kill switch.

    It is in force on every worker within a tenth of a second, and works while the gateway's state is locked or gone.

    \b
    Examples:
      offtarget canary rollback --reason "rude answers in the logs"
      offtarget canary rollback --alias assistant --who ada --reason "rude answers in the logs"

    Exit codes: 0 done, 2 refused or input error.
    """
    order("rollback", o)
