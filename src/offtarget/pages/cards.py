"""The card of any finished run. A verb has a file in its folder of `pages/` with `card_of_run(path)`, named here.

Where that file has `page_of_run(path)` too, the page is made anew from the records whenever somebody asks for it; else
it is the one that was written when the run ended. `written_of_run(path, format)` is for formats that show more than the
card.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from offtarget.asking.spending import spent_in
from offtarget.errors import InputError
from offtarget.pages.card import Card
from offtarget.rundir import place, read_manifest

HOMES = {
    "alternatives": "alternatives.card",
    "audit": "audit.card",
    "benchmarks": "benchmarks.card",
    "candidates": "candidates.card",
    "check": "check.card",
    "compare": "check.card",
    "defences": "defences.card",
    "redteam": "redteam.card",
    "repair": "direction.repair_card",
    "reproduce": "reproduce.card",
    "serve": "serve.card",
    "steer": "direction.steer_card",
    "tune": "tune.card",
}
"""By verb, the module of `pages/` that knows its card."""
_CONTRADICTIONS = (ArithmeticError, AssertionError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
"""What making a card ends in where each record can be read and all together make no sense."""


def card_of(path: Path) -> Card:
    """The card of a run directory; InputError when it is no run directory or its records are damaged."""
    path = place(path)
    maker = _home(path).card_of_run
    try:
        return with_cost(maker(path), path)
    except _CONTRADICTIONS as error:
        raise _unreadable(path, error) from error


def with_cost(card: Card, path: Path) -> Card:
    """The card with what the run took, where its verb did not say so and somebody counted."""
    spent = None if card.cost else spent_in(path)
    return card if spent is None else replace(card, cost=spent.in_words)


def page_of(path: Path) -> str | None:
    """The page of a run, made anew from its records; None where its verb leaves one in the run."""
    made = getattr(_home(path), "page_of_run", None)
    try:
        return None if made is None else str(made(path))
    except _CONTRADICTIONS as error:
        raise _unreadable(path, error) from error


def written_of(path: Path, format: str) -> str | None:
    """A finished run in a format of its verb's own; None where the format shows its card."""
    made = getattr(_home(path), "written_of_run", None)
    try:
        text = None if made is None else made(path, format)
    except _CONTRADICTIONS as error:
        raise _unreadable(path, error) from error
    return None if text is None else str(text)


def _unreadable(path: Path, error: Exception) -> InputError:
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return InputError(
        f"{path}: its records do not fit together ({said}). Something else changed them, or this is a fault in "
        "offtarget. Restore them, or start a new run."
    )


def _home(path: Path) -> ModuleType:
    verb = read_manifest(path).verb
    if verb not in HOMES:
        raise InputError(f"{path} is a run of `{verb}`, which has no card.")
    return importlib.import_module(f"offtarget.pages.{HOMES[verb]}")
