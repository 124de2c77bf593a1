"""`offtarget canary resume`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli.at_gateway import ORDERED, order
from offtarget.cli.help import Sectioned


@click.command("resume", cls=Sectioned)
@ORDERED
def command(**o: Any) -> None:
    """Go on with the ramp, or begin again after a rollback.

    After a rollback this is a new rollout: it begins with the first share and without evidence, and an alarm must
    be surer than before, so that trying again and again does not hide harm.

    \b
    Examples:
      offtarget canary resume --reason "mended in adapter 7"
      offtarget canary resume --alias assistant --who ada --reason "mended in adapter 7"

    Exit codes: 0 done, 2 refused or input error.
    """
    order("resume", o)
