"""`offtarget canary dashboard`: the page of a running gateway."""

from __future__ import annotations

from pathlib import Path

import click

from offtarget.cli.at_gateway import PLACE, gateway
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import print_json, screen


@click.command("dashboard", cls=Sectioned)
@PLACE
@shared("--no-browser")
@shared("--json", into="as_json")
def command(admin: str | None, key_file: Path | None, no_browser: bool, as_json: bool) -> None:
    """Open the dashboard of a gateway: how each model stands, the evidence over time, flagged answers, the kill switch.

    The address holds a secret of this start of the gateway: whoever has it may give orders.

    \b
    Examples:
      offtarget canary dashboard
      offtarget canary dashboard --no-browser

    Exit codes: 0 opened, 2 no gateway answers or input error.
    """
    address = gateway(admin, key_file).dashboard()
    if as_json:
        print_json({"address": address})
        return
    screen().command(address, indent=0)
    if not no_browser:
        import webbrowser

        webbrowser.open(address)
