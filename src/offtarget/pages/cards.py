"""The card of any run. A verb has a file in its folder of `pages/` with `card_of_run(path)`, and an entry here."""

from __future__ import annotations

import importlib
from pathlib import Path

from offtarget.errors import InputError
from offtarget.pages.card import Card
from offtarget.rundir import read_manifest

HOMES = {
    "alternatives": "alternatives.card",
    "audit": "audit.card",
    "check": "check.card",
    "compare": "check.card",
    "defences": "defences.card",
    "repair": "direction.repair_card",
    "reproduce": "reproduce.card",
    "steer": "direction.steer_card",
    "tune": "tune.card",
}
"""By verb, the module of `pages/` that knows its card."""


def card_of(path: Path) -> Card:
    """The card of a run directory; InputError when it is no run directory or its records are damaged."""
    verb = read_manifest(path).verb
    if verb not in HOMES:
        raise InputError(f"{path} is a run of `{verb}`, which has no card.")
    made: Card = importlib.import_module(f"offtarget.pages.{HOMES[verb]}").card_of_run(path)
    return made
