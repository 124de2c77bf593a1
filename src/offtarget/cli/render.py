"""A decision as text for a terminal or a pipe; used by every verb that ends in a verdict."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offtarget.errors import InputError
from offtarget.pages.card import Card, Step
from offtarget.pages.cards import card_of
from offtarget.pages.screen import ABSENT, Screen, safe, shortened
from offtarget.records import Status
from offtarget.rundir import place, to_jsonable

__all__ = ["ABSENT", "safe", "shortened"]
"""From `pages.screen`, which every verb prints through."""

if TYPE_CHECKING:
    pass

_COLOURS = {Status.PASS: "green", Status.FAIL: "red", Status.UNDECIDED: "yellow"}
_PIPE_WIDTH = 140
"""Columns when the output is no terminal: files and pipes should not be wrapped at 80."""
_WIDE = 112
"""From this width on the table also holds the evidence; below, it follows line by line."""


def shown_path(path: Path) -> str:
    """A path as one can paste it into a shell, the same way in all commands of one result."""
    return shlex.quote(safe(str(place(path))))


def must_print() -> None:
    """InputError where standard output is closed, for a verb that only prints: exit code 0 would say done."""
    if getattr(sys.stdout, "nowhere", False):
        raise InputError("Standard output is closed, so nothing can be printed. Leave it open, or write a file.")


def screen() -> Screen:
    """What results are printed on: with everything where `--verbose` was said."""
    context = click.get_current_context(silent=True)
    return Screen(verbose=bool(context and context.params.get("verbose")))


def show_run(
    path: Path,
    details: Callable[[Screen], None] | None = None,
    *,
    always: Callable[[Screen], None] | None = None,
    page: str = "",
) -> Card:
    """Print what a run came to: its card and what to do next, and between them, if verbose, all the rest.

    `always` prints what stands between them in any case; `page` says what the page of the run is good for.
    """
    out, card = screen(), card_of(path)
    out.card(card)
    if always is not None:
        always(out)
    if details is not None and out.verbose:
        out.blank()
        details(out)
    if page:
        card = replace(card, steps=(*card.steps, Step(page, f"offtarget report {shown_path(path)} --html")))
    out.end(card, shown_path(path))
    return card


def show_card(
    card: Card, details: Callable[[Screen], None] | None = None, *, always: Callable[[Screen], None] | None = None
) -> None:
    """Print the card of what leaves no run; the details with `--verbose`."""
    out = screen()
    out.card(card)
    if always is not None:
        always(out)
    if details is not None and out.verbose:
        details(out)
    out.end(card)


def print_json(record: object, run: Path | None = None) -> None:
    """A record on standard output, with the run that it comes from."""
    value = to_jsonable(record)
    print(json.dumps(value if run is None else {"run": str(run), **value}, indent=2))
