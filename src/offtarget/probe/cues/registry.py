"""Which families of cues there are: every file in `families/` that defines `cues`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from offtarget.probe.cues import families
from offtarget.probe.cues.material import Material
from offtarget.records import Cue

Maker = Callable[[Material], Iterator[Cue]]
"""Yields the cues of one family, the most promising first."""


@functools.cache
def makers() -> Mapping[str, Maker]:
    """All families by the name of their file; TypeError for a file without `cues`."""
    found = {}
    for info in sorted(pkgutil.iter_modules(families.__path__), key=lambda i: i.name):
        make = getattr(importlib.import_module(f"{families.__name__}.{info.name}"), "cues", None)
        if not callable(make):
            raise TypeError(f"probe/cues/families/{info.name}.py must define cues(material)")
        found[info.name] = cast(Maker, make)
    return found
