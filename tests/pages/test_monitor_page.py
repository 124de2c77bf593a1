"""The page of a run under watch: hostile texts stay text, the page reloads until the end."""

from __future__ import annotations

from pathlib import Path

from offtarget.pages.tune.monitor import MonitorFacts, render, write_page
from offtarget.records import Tally
from offtarget.records.tune import Reading

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e\ud800'
READINGS = [
    Reading(0, task=-2.0, shift=0.0, forecast=0.0),
    Reading(5, task=-1.0, shift=1.0, forecast=float("nan"), answers=Tally(14, 2), projection={"0": 0.1}),
    Reading(
        10,
        task=-0.5,
        shift=3.0,
        forecast=6.0,
        answers=Tally(8, 8),
        ahead=Tally(1, 9),
        projection={"0": 0.3},
        alarm="look-ahead",
    ),
]


def _facts(**changes: object) -> MonitorFacts:
    values = {
        "base": HOSTILE,
        "judged": True,
        "alpha": 0.05,
        "tolerance": 0.02,
        "ahead_tolerance": 0.05,
        "calibration": "A sentence.",
        "notes": (HOSTILE,),
    }
    return MonitorFacts(**(values | changes))  # type: ignore[arg-type]


def test_hostile_names_and_notes_stay_text(tmp_path: Path) -> None:
    """No tag of theirs is in the page, and it can be written as UTF-8."""
    write_page(tmp_path / "monitor.html", _facts(), READINGS)
    page = (tmp_path / "monitor.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_page_reloads_itself_until_training_has_ended() -> None:
    """A finished page stays as it is."""
    assert 'http-equiv="refresh"' in render(_facts(), READINGS)
    assert 'http-equiv="refresh"' not in render(_facts(finished=True), READINGS)


def test_the_page_shows_curves_alarm_and_best_checkpoint() -> None:
    """All signals that were measured have a panel."""
    page = render(_facts(best=5), READINGS)
    for text in ("Alarm at step 10", "step 5", "8 of 16", "Projection", "Shift of fixed answers", "Task"):
        assert text in page
    assert "Curves begin" in render(_facts(), READINGS[:1])
    assert "is no judge" in render(_facts(judged=False), READINGS)
