"""One file per move; each defines `MOVE`. Whoever adds a file adds a move: `moves` finds it.

Files that begin with an underscore hold what several moves are made of.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

from offtarget.errors import InputError
from offtarget.redteam.move import Move
from offtarget.words import meant


@cache
def moves() -> tuple[Move, ...]:
    """All moves, by name."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(sorted((module.MOVE for module in modules), key=lambda move: move.name))


def chosen(names: Sequence[str]) -> tuple[Move, ...]:
    """Moves by name; all where none is named. InputError, with all names, for an unknown one."""
    known = {move.name: move for move in moves()}
    for name in names:
        if name not in known:
            raise InputError(f"There is no move '{name}'.{meant(name, known)} There are: {', '.join(known)}.")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else moves()
