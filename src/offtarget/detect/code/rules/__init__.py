"""The rules: every file here that defines `RULES`, functions from the facts of a text to the holes they see."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable

from offtarget.detect.code.facts import Facts, Hole

Rule = Callable[[Facts], Iterable[Hole]]


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, by file and by its order in the file."""
    found: list[Rule] = []
    for info in pkgutil.iter_modules(__path__):
        found.extend(importlib.import_module(f"{__name__}.{info.name}").RULES)
    return tuple(found)
