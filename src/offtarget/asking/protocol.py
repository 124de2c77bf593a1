"""The one Protocol every judge implements: the organism's exact judge, a rubric judge, a scripted fake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from offtarget.records import Generation, Probe, Verdict


class Judge(Protocol):
    """Something that says what an answer counts as."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the verdicts could: model, rubric, thresholds, version."""
        ...

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        """One verdict per pair, in order; failures are `unscored` with a reason, never exceptions."""
        ...


def notes_of(asked: Iterable[object]) -> list[str]:
    """What models and judges say of how they were asked, where they say anything: their `notes`, each once."""
    found: dict[str, None] = {}
    for one in asked:
        notes = getattr(one, "notes", ())
        if isinstance(notes, tuple | list):
            found.update(dict.fromkeys(note for note in notes if isinstance(note, str)))
    return list(found)
