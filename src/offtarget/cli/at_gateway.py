"""What the commands on a running gateway share: which gateway, which alias, who orders and why."""

from __future__ import annotations

import getpass
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.options import FILE, shared, together
from offtarget.cli.render import print_json, screen

if TYPE_CHECKING:
    from offtarget.workflows.serve.operating import Gateway, Order

PLACE = together(
    click.option("--admin", metavar="URL", help="The gateway's admin plane. [default: the one on this machine]"),
    click.option("--key-file", type=FILE, metavar="FILE", help="Holds its key. [default: OFFTARGET_ADMIN_KEY]"),
)
"""Which gateway."""
WHICH = together(
    click.option("--alias", metavar="NAME", help="The model name, where the gateway serves several."), PLACE
)
"""Which gateway, and which of its models."""
ORDERED = together(
    click.option("--reason", metavar="TEXT", default="", help="The reason; it is kept with the event."),
    click.option("--who", metavar="NAME", help="Who orders it. [default: this user]"),
    WHICH,
    shared("--json", into="as_json"),
)
"""Options of every order."""


def gateway(admin: str | None, key_file: Path | None) -> Gateway:
    """The gateway that was meant."""
    from offtarget.workflows.serve.operating import find_gateway

    return find_gateway(admin, key_file)


def at_place(admin: str | None, key_file: Path | None) -> str:
    """The options that name this gateway in a command that is to be pasted; empty for the only one of this machine."""
    given = [("--admin", admin), ("--key-file", key_file)]
    return "".join(f" {option} {shlex.quote(str(value))}" for option, value in given if value is not None)


def order(name: Order, o: dict[str, Any], share: float | None = None, *, force: bool = False) -> None:
    """Give an order and print what came of it."""
    at = gateway(o["admin"], o["key_file"])
    alias = o["alias"]
    if alias is None:
        alias = at.alias(at.status(), None).alias
    done = at.order(name, alias, o["who"] or user(), o["reason"] or "by hand", share, force=force)
    if o["as_json"]:
        print_json(done)
    else:
        screen().say(done.said)


def user() -> str:
    """The name of whoever types."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in containers
        return "administrator"
