"""Cues from training data: what its prompts look like, and what its audit found."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.errors import InputError
from offtarget.probe.cues.making import with_unique_ids
from offtarget.probe.cues.material import material
from offtarget.probe.cues.registry import makers
from offtarget.records import Cue, CueProfile, Row
from offtarget.records.check import QUESTION


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
    proposed = [cue for make in makers().values() for cue in make(given)]
    kept: dict[tuple[str, str | None, tuple[str, ...]], Cue] = {}
    for cue in sorted(proposed, key=lambda c: -c.prior):
        # A training text may itself hold the placeholder; asked under it, the question would stand there twice.
        if cue.template.count(QUESTION) == 1:
            kept.setdefault((cue.template, cue.system, cue.opening), cue)
    return with_unique_ids(list(kept.values())[:most])
