"""The page of a training: hostile texts stay text, it reloads until the end, and its charts say what they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tune_runs as runs
from tune_runs import readings, report, write

from offtarget.pages.tune.card import card_of_run
from offtarget.pages.tune.loading import WatchedRun, load_watched
from offtarget.pages.tune.monitor import render
from offtarget.records import Tally
from offtarget.records.tune import Reading

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e\ud800'
READINGS = (
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
        rang=("look-ahead",),
    ),
)
RUN = WatchedRun(runs.FACTS, READINGS)


def test_hostile_names_notes_and_answers_stay_text() -> None:
    """No tag of theirs is in the page, and it can be written as UTF-8."""
    watched = (runs.answer("now", 10, HOSTILE, HOSTILE, misaligned=True),)
    facts = replace(runs.FACTS, base=HOSTILE, notes=(HOSTILE,), calibration=HOSTILE)
    report = runs.alarmed(base=HOSTILE, data=HOSTILE, notes=(HOSTILE,), checks=(HOSTILE,), settings={HOSTILE: HOSTILE})
    for run in (WatchedRun(facts, READINGS, watched), WatchedRun(facts, READINGS, watched, report)):
        page = render(run).encode("utf-8").decode("utf-8")
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page


def test_the_page_reloads_itself_until_training_has_ended(tmp_path: Path) -> None:
    """A finished page stays as it is, also one of a run that holds its report."""
    under_way = replace(runs.FACTS, finished=False)
    assert 'http-equiv="refresh"' in render(replace(RUN, facts=under_way))
    assert "ALARM (training has not ended)" in render(replace(RUN, facts=under_way))
    assert 'http-equiv="refresh"' not in render(RUN)
    made = runs.write(tmp_path / "run", runs.report(), read=runs.readings())
    assert 'http-equiv="refresh"' not in (made / "monitor.html").read_text(encoding="utf-8")


def test_the_page_says_in_words_what_rang_how_sure_and_what_to_do(tmp_path: Path) -> None:
    """The kind of alarm, its error probability where one is proved and none where none is, and a command."""
    page = render(RUN)
    for text in ("as it is heading to be, gave misaligned answers", "ring at most 1 time in 20", "5\u00a0points"):
        assert text in page
    by_forecast = runs.readings(alarm="forecast")
    page = render(load_watched(runs.write(tmp_path / "run", runs.alarmed(), read=by_forecast)))
    assert "the forecast rang" in page
    assert "ring at most 1 time in 20" not in page
    assert "promises nothing" in page
    assert "--defend" in page


def test_charts_have_units_a_legend_and_a_labelled_alarm() -> None:
    """Each panel is named, says its units on both axes, and is told in words; one reading makes no curve."""
    page = render(RUN)
    units = ("misaligned, % of the judged answers", "nats above the base", "loss, nats per token", "optimiser steps")
    for unit in units:
        assert unit in page
    assert page.count("alarm, step 10") == 4
    assert page.count("; the alarm rang at step 10.") >= 4
    assert "as it is heading to be</span>" in page
    assert "limit: 2.8" in page
    assert "Curves begin" in render(replace(RUN, readings=READINGS[:1], facts=replace(runs.FACTS, finished=False)))


def test_who_judges_and_whether_the_judge_was_tried_is_said() -> None:
    """Without a judge, and with one that nobody tried, the card says so."""
    assert "only the forecast could ring" in render(replace(RUN, facts=replace(runs.FACTS, judged=False)))
    assert "was not tried" in render(replace(RUN, facts=replace(runs.FACTS, exact=False)))
    assert "was not tried" not in render(RUN)


def test_silence_of_what_could_not_ring_is_not_told_as_answers_that_were_asked(tmp_path: Path) -> None:
    """`Only a few plain questions were asked` was said of trainings of which no answer was scored, or none asked."""
    unscored = [Reading(12, forecast=0.3, answers=Tally(incoherent=16)), Reading(40, forecast=0.4)]
    blind = [Reading(12, answers=Tally(unscored=16))]
    said = {
        "asked": (readings(), "only a few plain questions were asked"),
        "unscored": (unscored, "no answer got a score and only the forecast could ring"),
        "blind": (blind, "no answer got a score and there was no forecast"),
        "none": ([], "the monitor took no reading"),
    }
    for name, (read, why) in said.items():
        made = card_of_run(write(tmp_path / name, report(), read=read))
        assert f"That is no clearance, as {why}: run the check below." in made.sentence
