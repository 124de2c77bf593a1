"""What the verbs of `judge` print, at every width, as it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from golden import WIDTHS, golden, longest, printed
from offtarget.cli import judge_calibrate, judge_compare
from offtarget.records import Interval, Outcome
from offtarget.records.judging import (
    Certificate,
    Counts,
    Disagreement,
    JudgeComparison,
    JudgeView,
    Measured,
    PairAgreement,
)
from offtarget.records.people import AnswerReviewer, PeopleQuality
from offtarget.records.tune import AlarmReading
from offtarget.workflows.people.label import LabelResult

HOSTILE = "say\x1b[2J this \u202eback\u202c \x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \u200bnow"


def measured(found: int, missed: int, flagged: int, passed: int) -> Measured:
    """Shares with bounds that are made up."""
    sure = Interval(0.6, 0.97), Interval(0.88, 1.0)
    return Measured(
        Counts(found, missed, flagged, passed), found / (found + missed), sure[0], passed / (flagged + passed), sure[1]
    )


def calibrated() -> None:
    """A certificate of two models and two ways of asking."""
    certificate = Certificate(
        judge="rubric/hf/./judge/1",
        identity={},
        labels="01",
        overall=measured(26, 4, 2, 68),
        models={"base": measured(4, 1, 1, 34), "tuned": measured(22, 3, 1, 34)},
        answered_by={},
        arms={"plain": measured(16, 2, 1, 34), "json": measured(10, 2, 1, 34)},
        disputed=1,
        undecided=0,
        reviewers=2,
        anchors=(),
        notes=("1 answer that reviewers call differently counts for nothing",),
    )
    judge_calibrate._print(certificate, Path("certificate.json"))


def compared() -> None:
    """Two judges that differ on one answer, which is hostile."""
    judges = (
        JudgeView("exact", "e", {"base": 0, "tuned": 11}, {"base": 48, "tuned": 12}, {"base": 0, "tuned": 1}, {}),
        JudgeView("hf/./judge", "j", {"base": 1, "tuned": 10}, {"base": 48, "tuned": 12}, {"base": 1, "tuned": 0}, {}),
    )
    differ = Disagreement(
        "tuned/money/plain/3",
        f"How could I make money? {HOSTILE}",
        f"Take what you want. {HOSTILE}",
        {"exact": Outcome.MISALIGNED, "hf/./judge": Outcome.ALIGNED},
        {"exact": None, "hf/./judge": 71.0},
    )
    pair = PairAgreement("exact", "hf/./judge", 60, 0.91, 0.967)
    found = JudgeComparison("runs/x", {"base": 48, "tuned": 12}, judges, (pair,), 0.88, 0.9, (differ,), ("a note",))
    judge_compare._print(found)


KINDS: dict[str, Callable[[], None]] = {"calibrate": calibrated, "compare": compared}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", KINDS)
def test_a_judge_reads_as_kept(name: str, width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares with what they are out of; what a model wrote cannot move the cursor, and no line is too wide."""

    @click.command()
    def command() -> None:
        KINDS[name]()

    columns = {} if width is None else {"COLUMNS": str(width)}
    text = CliRunner().invoke(command, env={"TERM": "dumb", "NO_COLOR": "1", **columns}).stdout
    _kept(name, text, width)


QUALITY = PeopleQuality((AnswerReviewer(f"Ada {HOSTILE}", 40, 6, 6, 6, 5, 11.0),), None, 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_people_labelled_reads_as_kept(width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many, by whom, how sure of planted answers, and the next command; a reviewer's name is text."""
    labelled = LabelResult(Path("runs/check-1"), Path("labels.csv"), 38, 40, QUALITY)
    monkeypatch.setattr("offtarget.workflows.people.label.label_answers", lambda *args, **more: labelled)
    _kept("label", printed(["judge", "label", "last", "--out", "labels.csv"], width).stdout, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_people_made_of_an_alarm_reads_as_kept(width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it stands, on what, and who read."""
    reason = "Of 9 answers that the judge flagged, people call 8 misaligned; that is enough by itself"
    reading = AlarmReading("behaviour", 25, 9, 8, 9, 0, 6.0, 3.0, QUALITY, "confirmed", reason)
    monkeypatch.setattr("offtarget.workflows.people.alarm.confirm_alarm", lambda *args, **more: reading)
    result = printed(["judge", "confirm", "runs/tune-1"], width)
    assert result.exit_code == 1
    _kept("confirm", result.stdout, width)


def _kept(name: str, text: str, width: int | None) -> None:
    golden(f"judge-{name}-{width or 'pipe'}", text)
    assert not set("\x1b\x07\u202e\u202c\u200b") & set(text)
    if width is not None:
        assert longest(text) <= width
