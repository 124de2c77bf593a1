"""`offtarget canary status`: how the tuned models of a gateway stand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offtarget.cli.at_gateway import WHICH, at_place, gateway
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import print_json, screen

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.records.overview import AliasOverview, Overview

EXIT_CODES = {"PASS": 0, "FAIL": 1, "UNDECIDED": 3, "NOT TESTED": 3}
EVENTS, ALL_EVENTS = 5, 30


@click.command("status", cls=Sectioned)
@WHICH
@click.option("--exit-code", is_flag=True, help="Exit 0 on PASS, 1 on FAIL, 3 on UNDECIDED and NOT TESTED.")
@shared("--json", into="as_json")
@shared("--verbose")
def command(
    alias: str | None, admin: str | None, key_file: Path | None, exit_code: bool, as_json: bool, verbose: bool
) -> None:
    """How the tuned model on trial stands: its share, what was judged, the evidence, what to do.

    \b
    Examples:
      offtarget canary status
      offtarget canary status --json
      offtarget canary status --admin http://gateway.example:8081 --key-file admin.key --exit-code

    Exit codes: 0 told (see --exit-code), 2 no gateway answers or input error.
    """
    at = gateway(admin, key_file)
    found = at.status()
    chosen = found.aliases if alias is None else (at.alias(found, alias),)
    if as_json:
        print_json(found if alias is None else chosen[0])
    else:
        out = screen()
        for number, one in enumerate(chosen):
            if number:
                out.blank()
            _show(one, found, out, at_place(admin, key_file))
    if exit_code:
        tried = [EXIT_CODES[one.standing] for one in chosen if len(one.arms) > 1]
        sys.exit(1 if 1 in tried else max(tried, default=3))


def _show(one: AliasOverview, gateway: Overview, out: Screen, place: str) -> None:
    from dataclasses import replace

    from offtarget.pages.serve.standing import card_of, event_rows

    card = card_of(one, gateway)
    # with several gateways a command that does not name its own would be refused
    card = replace(card, steps=tuple(replace(s, command=s.command + place if s.command else "") for s in card.steps))
    out.card(card)
    events = one.events[: ALL_EVENTS if out.verbose else EVENTS]
    if events:
        out.table(("when", "what", "who", "why"), event_rows(events), title="Last events", left=(0, 1, 2, 3))
    out.end(card)
