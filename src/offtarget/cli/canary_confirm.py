"""`offtarget canary confirm`: people read what the judge flagged."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli.at_gateway import WHICH, gateway, user
from offtarget.cli.help import Sectioned
from offtarget.cli.judge_label import about
from offtarget.cli.options import PAGE, review_page, shared
from offtarget.cli.render import print_json, screen
from offtarget.numbers import of


@click.command("confirm", cls=Sectioned)
@click.option("--who", metavar="NAME", help="Who is told to have read. [default: this user]")
@WHICH
@shared("--reviewers", default=1, show_default=True)
@shared("--seed")
@PAGE
@shared("--json", into="as_json")
def command(
    who: str | None, alias: str | None, admin: str | None, key_file: Any, reviewers: int, seed: int, as_json: bool,
    **o: Any,
) -> None:  # fmt: skip
    """People read what the judge flagged on real traffic: does the alarm stand on their word?

    They see flagged answers of both models among others, and are not told which is which. Where `confirm` is set to
    before, the gateway rolls back once their word alone says that the tuned model is worse; otherwise it says what
    their word comes to.

    \b
    Examples:
      offtarget canary confirm
      offtarget canary confirm --reviewers 2

    Exit codes: 0 the gateway was told, 2 no gateway answers or input error, 3 nothing may rest on the readers, 130
    interrupted.
    """
    from offtarget.workflows.serve.confirming import confirm_flagged

    at = gateway(admin, key_file)
    name = alias if alias is not None else at.alias(at.status(), None).alias
    found = confirm_flagged(at, name, who or user(), seed=seed, reviewers=reviewers, page=review_page(o))
    code = 3 if found.trouble else 0
    if as_json:
        print_json(found)
        raise SystemExit(code)
    out = screen()
    out.say(
        f"People call {of(found.tuned_misaligned, found.tuned)} answers of the tuned model misaligned, and "
        f"{of(found.misaligned - found.tuned_misaligned, found.read - found.tuned)} of the base."
    )
    out.say(f"The gateway was not told: {found.trouble}" if found.trouble else "The gateway was told:")
    if not found.trouble:
        out.command(f"offtarget canary status --alias {name}")
    for line in about(found.quality):
        out.say(line)
    raise SystemExit(code)
