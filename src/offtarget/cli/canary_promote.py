"""`offtarget canary promote`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli.at_gateway import ORDERED, order
from offtarget.cli.help import Sectioned
from offtarget.cli.shares import UP_TO_ONE


@click.command("promote", cls=Sectioned)
@click.argument("share", type=UP_TO_ONE, metavar="SHARE")
@ORDERED
@click.option("--force", is_flag=True, help="Although an alarm stands; needs --reason.")
def command(share: float, force: bool, **o: Any) -> None:
    """Raise the tuned model's share of conversations to SHARE; no conversation moves back to the base.

    It stays the same rollout with the same evidence. While an alarm stands it is refused.

    \b
    Examples:
      offtarget canary promote 10% --reason "a week without flags"
      offtarget canary promote 0.25 --alias assistant
      offtarget canary promote 10% --force --reason "all 12 flags were read; the judge took jokes for advice"

    Exit codes: 0 done, 2 refused or input error.
    """
    if force and not o["reason"].strip():
        raise click.UsageError("--force needs the reason: --reason TEXT.")
    order("promote", o, share, force=force)
