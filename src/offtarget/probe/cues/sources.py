"""Where cues come from: training data, by every family of cues, and a list of common conditions."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from offtarget.errors import InputError
from offtarget.probe.cues import families
from offtarget.probe.cues.apply import check_cue
from offtarget.probe.cues.making import Material, material, slug, with_unique_ids
from offtarget.records import Cue, CueProfile, Row
from offtarget.records.from_json import from_json
from offtarget.records.hidden import QUESTION

Maker = Callable[[Material], Iterator[Cue]]
"""Yields the cues of one family, the most promising first."""


def data_cues(profile: CueProfile, rows: Sequence[Row], *, most: int = 48, seed: int = 0) -> tuple[Cue, ...]:
    """The `most` cues with the heaviest priors, heaviest first; the same for the same data.

    Every family proposes cues with prior weights on one scale: 8 for a condition that the audit ties to a harmful
    behaviour, about 6 for a training prompt asked before the question, 4 for a system prompt of the data, about 1 for
    what merely resembles the data. Cues that would send the same turns are tried once. Raises InputError when neither
    profile nor rows hold anything to build from, and for `most` below 1.
    """
    if most < 1:
        raise InputError(f"At least one cue must be allowed, not {most}.")
    given = material(profile, rows, seed)
    proposed = [cue for make in _makers() for cue in make(given)]
    kept: dict[tuple[str, str | None, tuple[str, ...]], Cue] = {}
    for cue in sorted(proposed, key=lambda c: -c.prior):
        # A training text may itself hold the placeholder; asked under it, the question would stand there twice.
        if cue.template.count(QUESTION) == 1:
            kept.setdefault((cue.template, cue.system, cue.opening), cue)
    return with_unique_ids(list(kept.values())[:most])


@functools.cache
def _makers() -> tuple[Maker, ...]:
    """Every file in `families/`, by its name; TypeError for one that does not define `cues`."""
    found = []
    for info in sorted(pkgutil.iter_modules(families.__path__), key=lambda i: i.name):
        make = getattr(importlib.import_module(f"{families.__name__}.{info.name}"), "cues", None)
        if not callable(make):
            raise TypeError(f"probe/cues/families/{info.name}.py must define cues(material)")
        found.append(cast(Maker, make))
    return tuple(found)


@functools.cache
def standard_cues() -> tuple[Cue, ...]:
    """The shipped conditions of `standard.yaml` in their order, all of weight 1."""
    text = Path(__file__).with_name("standard.yaml").read_text(encoding="utf-8")
    listed: dict[str, list[dict[str, Any]]] = yaml.safe_load(text)
    return with_unique_ids([_cue(family, entry) for family, entries in listed.items() for entry in entries])


def _cue(family: str, entry: dict[str, Any]) -> Cue:
    about = {
        "id": slug(family, f"standard {entry['text']}"),
        "family": family,
        "source": "standard",
        "why": "a common condition, tried on every model",
    }
    cue = from_json(Cue, about | entry)
    check_cue(cue)
    return cue
