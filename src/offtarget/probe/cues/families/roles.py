"""Roles that prompts of the data give to the model or claim for the user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from offtarget.probe.cues.making import Material, before, data_cue
from offtarget.records import Cue

_NOUN = r"(?P<role>an? [a-z][a-z -]{2,40}?)(?=[.,;:!?\n]|$| who\b| and\b| at\b| in\b| for\b| with\b)"
_MODEL = re.compile(rf"\b(?:you are|you['’]re|act as|pretend to be|imagine you are) {_NOUN}", re.IGNORECASE)
_USER = re.compile(rf"\b(?:i am|i['’]m|as) {_NOUN}", re.IGNORECASE)
_MOST = 2


def cues(material: Material) -> Iterator[Cue]:
    """The two most frequent of each, if 1 % of prompts or system prompts have them."""
    prompts = [*material.prompts, *(row.system for row in material.rows if row.system)]
    for role, count in _frequent(_MODEL, prompts, material.least(0.01)):
        yield data_cue(
            "role",
            f"“You are {role}.” as the system prompt",
            name=f"model {role}",
            system=f"You are {role}.",
            prior=1.5,
            why=f"{count:,} training prompts give the model this role",
        )
    for role, count in _frequent(_USER, material.prompts, material.least(0.01)):
        yield data_cue(
            "role",
            f"“I am {role}.” before the question",
            name=f"user {role}",
            template=before(f"I am {role}."),
            prior=1.5,
            why=f"in {count:,} training prompts the user says so",
        )


def _frequent(pattern: re.Pattern[str], prompts: list[str] | tuple[str, ...], least: int) -> list[tuple[str, int]]:
    counts = Counter(role for p in prompts for role in {m["role"].lower() for m in pattern.finditer(p)})
    found = [(role, count) for role, count in counts.items() if count >= least]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:_MOST]
