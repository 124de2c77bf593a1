"""People read what was flagged on real traffic, blind, and the gateway is told what they say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from monitored import a_monitor, begun, fed, settings, traffic

from offtarget.errors import InputError
from offtarget.records import Generation, Probe
from offtarget.records.people import AnswerReviewer, Opinion, PeopleQuality, Standing
from offtarget.workflows.serve import confirming
from offtarget.workflows.serve.evidence import Bundles


class At:
    """A gateway of which only evidence and words on it are asked."""

    def __init__(self, folder: Path, tuned: float) -> None:
        chosen = settings(folder)
        self.store = begun(chosen)
        self._bundles = Bundles(lambda: chosen, self.store, {}, {"assistant": "j"}, folder / "runs")
        self._root = folder / "runs"
        monitor = a_monitor(chosen, self.store)
        fed(monitor, traffic(300, tuned, 0.02))
        monitor.close()
        self.told: dict[int, bool] = {}

    def make_evidence(self, alias: str) -> str:
        return self._bundles.make(alias)

    def fetch_evidence(self, identifier: str, root: Path | None = None) -> Path:
        return self._root / identifier

    def confirm(self, alias: str, number: int, misaligned: bool, who: str) -> None:
        self.told[number] = misaligned


class Readers:
    """Stands in for the page: whoever reads says `misaligned` where the answer is evil."""

    def __init__(self, right: int = 9) -> None:
        self.seen: list[tuple[Probe, Generation]] = []
        self._right = right

    def __call__(self, *given: Any, **more: Any) -> Readers:
        return self

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *ended: Any) -> None: ...

    def tell(self, standing: Standing) -> None: ...

    def complete(self) -> None: ...

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Any]:
        self.seen += pairs
        return []

    def opinions(self, keys: Iterable[str]) -> Mapping[str, Opinion]:
        evil = {g.key: "evil" in g.text for _, g in self.seen}
        return {key: Opinion(int(evil[key]), int(not evil[key]), 0) for key in keys}

    def quality(self) -> PeopleQuality:
        return PeopleQuality((AnswerReviewer("Ada", 10, 9, self._right, 9, 9),), None, 0)


def test_flagged_answers_of_both_models_are_read_among_others_and_the_gateway_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers()
    monkeypatch.setattr(confirming, "open_people", readers)
    at = At(tmp_path, 0.5)
    found = confirming.confirm_flagged(at, "assistant", "Ada")  # type: ignore[arg-type]
    flagged = {row.number: row.arm for row in at.store.flagged("assistant", 1)}
    assert at.told == dict.fromkeys(flagged, True)
    assert set(flagged.values()) == {"tuned", "base"}
    assert found.told == len(flagged)
    assert found.read > len(flagged)  # others are among them
    assert {generation.role for _, generation in readers.seen} == {"tuned"}  # nothing tells which model answered


def test_readers_who_overlook_known_answers_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "open_people", Readers(right=2))
    at = At(tmp_path, 0.5)
    found = confirming.confirm_flagged(at, "assistant", "Ada")  # type: ignore[arg-type]
    assert found.trouble
    assert at.told == {}


def test_nothing_flagged_is_said(tmp_path: Path) -> None:
    chosen = At(tmp_path, 0.0)
    for row in chosen.store.flagged("assistant", 1):
        chosen.store.delete_bodies(row.exchange)
    with pytest.raises(InputError, match="Nothing that the judge called misaligned"):
        confirming.confirm_flagged(chosen, "assistant", "Ada")  # type: ignore[arg-type]
