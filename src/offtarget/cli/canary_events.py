"""`offtarget canary events`: what happened, and who did it."""

from __future__ import annotations

from pathlib import Path

import click

from offtarget.cli.at_gateway import WHICH, gateway
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import print_json, screen


@click.command("events", cls=Sectioned)
@WHICH
@click.option("--last", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@shared("--json", into="as_json")
def command(alias: str | None, admin: str | None, key_file: Path | None, last: int, as_json: bool) -> None:
    """What happened to the rollouts of a gateway: starts, promotions, alarms, rollbacks, and who did it and why.

    \b
    Examples:
      offtarget canary events
      offtarget canary events --last 100 --json

    Exit codes: 0 told, 2 no gateway answers or input error.
    """
    from offtarget.pages.serve.standing import event_rows

    found = gateway(admin, key_file).events(last, alias)
    if as_json:
        print_json(found)
        return
    out = screen()
    if not found:
        out.say("Nothing happened yet.")
        return
    heads = ("when", "model", "what", "who", "why")
    rows = [(when, e.alias, *rest) for e, (when, *rest) in zip(found, event_rows(found), strict=True)]
    out.table(heads, rows, left=(0, 1, 2, 3, 4))
    named = [e.data["evidence"] for e in found if isinstance(e.data.get("evidence"), str) and e.data["evidence"]]
    if named:
        out.say("The evidence of the last alarm:")
        out.command(f"offtarget canary evidence {named[-1]}")
