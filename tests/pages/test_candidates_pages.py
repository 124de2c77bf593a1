"""What a check of many candidates says: the bounds, what e-BH adds, what was not checked, hostile names as text."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from offtarget.pages.candidates.card import card
from offtarget.pages.candidates.page import render
from offtarget.pages.candidates.table import rows
from offtarget.pages.candidates.written import junit, markdown
from offtarget.records import Interval, Status
from offtarget.records.candidates import Candidate, CandidateName, CandidatesManifest, CandidatesReport, NotChecked
from offtarget.records.check import CheckSettings
from offtarget.rundir import RunDir
from offtarget.workflows.runs.begin import begin

FAIL, PASS, UNDECIDED = Status.FAIL, Status.PASS, Status.UNDECIDED
HOSTILE = '</title><script>alert(1)</script>&"\u202e'


def one(name: str, alone: Status, together: Status, e: float, earlier: int = 0) -> Candidate:
    return Candidate(
        tuned=f"hf/base+{name}", run=f"run/{name}", alone=alone, together=together, log_e_fail=math.log(e),
        log_e_pass=None, difference=0.2, worse_by=Interval(0.05, 0.4), tolerance=0.01, margin=0.05, name=name,
        reason=f"why {name} is {together.value}", tuned_answers=1200, earlier=earlier,
    )  # fmt: skip


def report(*candidates: Candidate, missing: tuple[NotChecked, ...] = ()) -> CandidatesReport:
    return CandidatesReport(
        "hf/base", 0.05, len(candidates) + len(missing), candidates, missing, given=("the judge is right",)
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = RunDir.create("check", "x", path=tmp_path / "run")
    names = (CandidateName("a", "hf/base+a"),)
    begin(directory, CandidatesManifest(base="hf/base", candidates=names, settings=CheckSettings(max_answers=700)))
    return directory.path


def test_it_says_what_either_verdict_is_worth_and_what_to_do(run: Path) -> None:
    missing = (NotChecked("torn", "hf/base+torn", "torn has no weights"),)
    found = report(
        one("a", FAIL, FAIL, 900), one("b", UNDECIDED, UNDECIDED, 2), one("c", PASS, PASS, 0.1), missing=missing
    )
    shown = card(found, run)
    assert shown.state == "FAIL"
    assert shown.sentence == "1 of 4 candidates FAIL, 1 PASS, 1 is undecided and 1 was not checked."
    assert "On average at most 5 % of the candidates that FAIL" in shown.certainty
    assert "any that PASSes is worse than allowed is at most 5 %, given that the judge is right." in shown.certainty
    assert shown.cautions[0].startswith("torn was not checked. ")
    commands = [step.command for step in shown.steps]
    assert commands == [
        f"offtarget report {run}/a --html",
        f"offtarget resume {run}",
        f"offtarget resume {run} --max-answers 1400",
    ]


def test_a_fail_that_e_bh_adds_says_so_and_reruns_have_their_bound(run: Path) -> None:
    found = report(one("a", FAIL, FAIL, 900), one("b", UNDECIDED, FAIL, 30, earlier=1))
    shown = card(found, run)
    assert "at most 7.5 %" in shown.certainty
    below = next(caution for caution in shown.cautions if caution.startswith("b: "))
    assert "the evidence is below 40; among 2 that FAIL it is enough" in below


@pytest.mark.parametrize(
    ("candidates", "missing", "state", "headline"),
    [
        ((PASS, PASS), 0, "PASS", "PASS: all 2 candidates"),
        ((PASS, PASS), 1, "UNDECIDED", "UNDECIDED: 2 of 3 candidates PASS"),
        ((PASS, UNDECIDED), 0, "UNDECIDED", "UNDECIDED: 1 of 2 candidates PASS"),
        ((FAIL, UNDECIDED), 1, "FAIL", "FAIL: 1 of 3 candidates"),
    ],
)
def test_one_that_was_not_checked_is_never_a_pass(
    run: Path, candidates: tuple[Status, ...], missing: int, state: str, headline: str
) -> None:
    lost = tuple(NotChecked(f"x{n}", "x", "broken") for n in range(missing))
    found = report(*(one(f"n{n}", each, each, 1) for n, each in enumerate(candidates)), missing=lost)
    assert (found.status.value, card(found, run).headline) == (state, headline)
    assert found.status.exit_code == {"PASS": 0, "FAIL": 1, "UNDECIDED": 3}[state]


def test_hostile_names_and_reasons_stay_text(run: Path) -> None:
    missing = (NotChecked(HOSTILE, HOSTILE, HOSTILE),)
    found = report(replace(one(HOSTILE, PASS, PASS, 1), reason=HOSTILE), missing=missing)
    shown = card(found, run)
    page = render(found, shown)
    assert "<script>alert" not in page
    assert "\u202e" not in page
    tests = ElementTree.fromstring(junit(found, shown)).findall(".//testcase")
    assert len(tests) == 2
    assert "<script>" not in markdown(found, shown)
    assert len(rows(found)) == 2


def test_of_a_thousand_the_card_tells_a_few_and_the_table_all(run: Path) -> None:
    missing = tuple(NotChecked(f"x{n}", "x", "broken") for n in range(100))
    found = report(*(one(f"n{n}", PASS, PASS, 0.2) for n in range(900)), missing=missing)
    shown = card(found, run)
    assert len(shown.cautions) == 6
    assert "95 more were not checked" in shown.cautions[5]
    assert len(rows(found)) == 1000
