"""The one Protocol every judge implements: the organism's exact judge, a rubric judge, a scripted fake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from offtarget.records import Generation, Probe, Verdict
from offtarget.records.people import Opinion, PeopleQuality, Standing


class Judge(Protocol):
    """Something that says what an answer counts as."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the verdicts could: model, rubric, thresholds, version."""
        ...

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        """One verdict per pair, in order; failures are `unscored` with a reason, never exceptions."""
        ...


class ManyAtOnce(Judge, Protocol):
    """A judge that asks a model, and may be asked about several answers at a time."""

    @property
    def at_once(self) -> int:
        """In so many threads `judge` may be called at a time; 1: in the calling thread alone."""
        ...


class People(Judge, Protocol):
    """A judge whose `judge` waits until people have labelled the answers, in the calling thread; Ctrl-C ends it.

    Answers that were labelled before, in this process or an earlier one, are not asked again.
    """

    def tell(self, standing: Standing) -> None:
        """Says on the page where the command stands; with a verdict the page says goodbye."""
        ...

    def opinions(self, keys: Iterable[str]) -> Mapping[str, Opinion]:
        """What people say now of answers that were judged, by `Generation.key`."""
        ...

    def corrections(self) -> list[Verdict]:
        """Verdicts that people changed after `judge` had returned them, as they are now."""
        ...

    def complete(self) -> None:
        """Waits until everybody at the page has seen enough planted answers for `quality` to say something."""
        ...

    def quality(self) -> PeopleQuality:
        """How well the reviewers did on planted answers, and how far they agree."""
        ...


def notes_of(asked: Iterable[object]) -> list[str]:
    """What models and judges say of how they were asked, where they say anything: their `notes`, each once."""
    found: dict[str, None] = {}
    for one in asked:
        notes = getattr(one, "notes", ())
        if isinstance(notes, tuple | list):
            found.update(dict.fromkeys(note for note in notes if isinstance(note, str)))
    return list(found)
