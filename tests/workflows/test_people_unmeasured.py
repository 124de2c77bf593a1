"""People who were given as an object of the user's own, without a word on how well they read."""

from __future__ import annotations

from pathlib import Path

import checking
import rating

from offtarget.records.people import PeopleQuality
from offtarget.workflows.check.check import check


def _notes(folder: Path, people: object) -> tuple[str, ...]:
    models = [rating.model(name, 0.0) for name in ("base", "tuned")]
    settings = checking.settings(max_answers=20)
    return check(
        *models, probes=checking.bank(), judge="people", people=people, settings=settings, run=folder
    ).decision.notes


def test_people_without_quality_are_not_believed_in_silence(tmp_path: Path) -> None:
    """Nobody tried them on planted answers, which stands beside the verdict; with `quality` it does not."""
    assert any(
        "How well these people read was not measured" in note for note in _notes(tmp_path / "a", rating.people())
    )
    tried = rating.people()
    tried.quality = lambda: PeopleQuality((), None, 0, 0)  # type: ignore[attr-defined]
    assert not any("was not measured" in note for note in _notes(tmp_path / "b", tried))
