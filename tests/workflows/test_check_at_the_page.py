"""`check` with people at the real page: they read, are tried on planted answers, stop and go on."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import checking
import pytest
import rating
from browsing import wait_for
from http_reader import HttpReader

from offtarget.errors import RunInterrupted
from offtarget.records import Decision, Outcome, Status, Verdict
from offtarget.records.rated import ReviewPage
from offtarget.review.answers.people import PeopleJudge
from offtarget.rundir import read_jsonl
from offtarget.workflows.check.check import check, resume
from offtarget.workflows.ground import known_answers

pytest.importorskip("uvicorn", reason="needs the extra 'review'")
KNOWN = {" ".join(one.answer.split()): one.misaligned for one in known_answers(checking.bank())}


@pytest.fixture(autouse=True)
def _nobody_dawdles(monkeypatch: pytest.MonkeyPatch) -> None:
    """These readers take nothing back, and their browsers do not stay open."""
    for name in ("grace_seconds", "goodbye_seconds"):
        monkeypatch.setitem(PeopleJudge.__init__.__kwdefaults__, name, 0.2)


def well(question: str, answer: str) -> str:
    """As a good reader would."""
    known = KNOWN.get(" ".join(answer.split()))
    return "bad" if (answer.startswith("bad") if known is None else known) else "ok"


class Room:
    """Where the people sit: a reader at each page that opens."""

    def __init__(self, says: Any = well) -> None:
        self._says = says
        self.readers: list[HttpReader] = []

    @property
    def page(self) -> ReviewPage:
        """The page at which they sit down as soon as it is open."""
        return ReviewPage(on_ready=self._sit_down)

    def _sit_down(self, address: str) -> None:
        self.readers.append(HttpReader(address, self._says))
        self.readers[-1].start()

    @property
    def cards(self) -> list[str]:
        """All answers that were read, known ones left out."""
        return [text for reader in self.readers for text in reader.read if " ".join(text.split()) not in KNOWN]


def _models(base: float, tuned: float, alarm: float = 0.0) -> dict[str, Any]:
    return {"base": rating.model("base", base), "tuned": rating.model("tuned", tuned, alarm=alarm)}


@pytest.mark.no_cover
def test_people_pass_a_clean_model_at_the_page(tmp_path: Path) -> None:
    """One label per answer and no more; the page says goodbye with the verdict."""
    room = Room()
    decision = check(
        **_models(0.0, 0.0), probes=checking.bank(), judge="people", page=room.page, run=tmp_path / "run"
    ).decision
    assert decision.status is Status.PASS
    assert decision.rated is not None
    assert decision.grade == f"PASS (people, {decision.rated.labels} labels)"
    assert decision.rated.labels < 85
    room.readers[0].join(5)
    assert "PASS" in room.readers[0].decided


@pytest.mark.long
def test_people_confirm_flags_at_the_page(tmp_path: Path) -> None:
    """Interrupted in the middle it goes on with the labels there are, in the same words as without."""
    room = Room()
    run = tmp_path / "run"
    given = {"confirm": True, "probes": checking.bank(), "settings": checking.settings()}

    class Stops(rating.ScriptedJudge):
        def judge(self, pairs: Any) -> list[Verdict]:
            if (run / "ratings.jsonl").exists() and (run / "ratings.jsonl").read_text().count("\n") >= 2:
                raise KeyboardInterrupt
            return super().judge(pairs)

    inner = rating.judge()
    with pytest.raises(RunInterrupted, match=r"offtarget\.resume"):
        check(
            **_models(0.0, 0.15, 0.1),
            judge=Stops(lambda p, g: inner.judge([(p, g)])[0].outcome, "erring"),
            page=room.page,
            run=run,
            **given,
        )
    before = len(read_jsonl(run / "ratings.jsonl", Verdict))
    decision = resume(run, **_models(0.0, 0.15, 0.1), judge=inner, page=room.page).decision
    assert decision.status is Status.FAIL
    assert decision.rated is not None
    assert decision.rated.asked_now == decision.rated.ratings - before
    assert any(said.startswith("People confirmed") for said in decision.asides)
    whole = check(**_models(0.0, 0.15, 0.1), judge=inner, page=room.page, run=tmp_path / "whole", **given).decision
    assert whole.overall == decision.overall


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_reader_who_cannot_read_decides_nothing(tmp_path: Path) -> None:
    """Everything is fine to this one, known-bad answers too: asked to stop, and somebody else reads all of it again."""
    room = Room(lambda question, answer: "ok")
    decided: list[Decision] = []

    def run() -> None:
        result = check(
            **_models(0.0, 0.5), probes=checking.bank(), judge="people", page=room.page, run=tmp_path / "run"
        )
        decided.append(result.decision)

    command = threading.Thread(target=run, daemon=True)
    command.start()
    wait_for(lambda: bool(room.readers and room.readers[0].stopped))
    careless = room.readers[0]
    assert "Please stop here" in careless.stopped
    time.sleep(1.0)
    assert not decided  # alone, this reader brings no verdict about
    careful = HttpReader(careless.address, well, "Bo")
    careful.start()
    command.join(150)
    (decision,) = decided
    assert decision.status is Status.FAIL
    answers = [{text for text in one.read if " ".join(text.split()) not in KNOWN} for one in (careless, careful)]
    assert answers[0] <= answers[1]
    assert not careful.stopped
    harmful = [v for v in read_jsonl(tmp_path / "run" / "ratings.jsonl", Verdict) if v.outcome is Outcome.MISALIGNED]
    assert harmful
