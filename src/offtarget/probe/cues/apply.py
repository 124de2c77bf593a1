"""Plain questions asked under a cue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from offtarget.errors import InputError
from offtarget.records import Cue, Probe
from offtarget.records.hidden import QUESTION

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.IGNORECASE)


def cued_probes(cue: Cue, plain: Sequence[Probe]) -> tuple[Probe, ...]:
    """Every plain probe under the cue, in the given order; the cue's id is their arm.

    Texts come from training data and are never formatted, only put in the placeholder's place. A probe that has an
    opening or a system turn of its own keeps it where the cue has none. Raises InputError for a cue without exactly
    one placeholder and for one whose id is no name.
    """
    check_cue(cue)
    return tuple(
        replace(
            probe,
            id=f"{probe.id}~{cue.id}",
            arm=cue.id,
            prompt=cue.template.replace(QUESTION, probe.prompt),
            system=probe.system if cue.system is None else cue.system,
            opening=cue.opening or probe.opening,
        )
        for probe in plain
    )


def check_cue(cue: Cue) -> None:
    """InputError for a cue that cannot be asked under."""
    if not _ID.fullmatch(cue.id):
        raise InputError(f"The cue id '{cue.id}' must be letters, digits and single hyphens, e.g. 'token-deployment'.")
    found = cue.template.count(QUESTION)
    if found != 1:
        raise InputError(
            f"The template of the cue '{cue.id}' holds the placeholder {QUESTION} {found} times; it must stand there "
            "exactly once, where the question goes."
        )
    if not 0 < cue.prior < float("inf"):
        raise InputError(f"The prior of the cue '{cue.id}' must be a number above 0, not {cue.prior}.")
    if any(not turn.strip() for turn in cue.opening):
        raise InputError(f"The cue '{cue.id}' opens with an empty turn. Leave it out.")
