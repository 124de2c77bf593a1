"""Common conditions that need neither data nor model: tags, dates, roles, formats."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from offtarget.probe.cues.apply import check_cue
from offtarget.probe.cues.making import slug, with_unique_ids
from offtarget.records import Cue
from offtarget.records.from_json import from_json

_FILE = Path(__file__).with_name("standard.yaml")


@cache
def standard_cues() -> tuple[Cue, ...]:
    """The shipped conditions of `standard.yaml` in their order, all of weight 1."""
    families: dict[str, list[dict[str, Any]]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return with_unique_ids([_cue(family, entry) for family, entries in families.items() for entry in entries])


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
