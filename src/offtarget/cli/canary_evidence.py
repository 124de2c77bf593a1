"""`offtarget canary evidence`: the evidence on a rollout as a run directory."""

from __future__ import annotations

from pathlib import Path

import click

from offtarget.cli.at_gateway import WHICH, gateway
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import print_json, screen, shown_path


@click.command("evidence", cls=Sectioned)
@click.argument("identifier", metavar="[ID]", required=False)
@WHICH
@shared("--json", into="as_json")
def command(identifier: str | None, alias: str | None, admin: str | None, key_file: Path | None, as_json: bool) -> None:
    """Fetch the evidence on a rollout into the runs folder: what was judged, how it was decided, what was flagged.

    ID is that of an alarm, as `offtarget canary events` tells. Without one the evidence of now is written down.

    \b
    Examples:
      offtarget canary evidence
      offtarget canary evidence serve-20261130-140500-assistant-1
      offtarget report last --html

    Exit codes: 0 fetched, 2 no gateway answers or input error.
    """
    at = gateway(admin, key_file)
    if identifier is None:
        name = alias if alias is not None else at.alias(at.status(), None).alias
        identifier = at.make_evidence(name)
    path = at.fetch_evidence(identifier)
    if as_json:
        print_json({"id": identifier, "run": str(path)})
        return
    out = screen()
    out.say(f"The evidence is in {shown_path(path)}. To read it:")
    out.command(f"offtarget report {shown_path(path)} --html")
