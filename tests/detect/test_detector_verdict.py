"""What detectors may say alone: FAIL beyond what false alarms explain, and never PASS."""

from __future__ import annotations

import numpy as np
import pytest
from labelled import SETTINGS, ids, label, labels, verdict

from offtarget.detect.detector_verdict import DetectorCalibration, detector_alarm, shipped_calibration
from offtarget.detect.verdict import ScanCounts
from offtarget.records import AuditDecision, Category, DatasetFinding, Status

CODE = Category.INSECURE_CODE
CALIBRATION = {"insecure-code": DetectorCalibration(rows=500, flagged=20)}
INSECURE = ScanCounts(6000, 0, {"insecure-code": (CODE, 5131)}, flagged_rows=5131, flagged_spreading=5131)
ORDER = ids(6000)


def scanned(found: list, **more: object) -> AuditDecision:
    return verdict(
        found,
        scan=INSECURE,
        flagged=ORDER[:5131],
        flagged_spreading=ORDER[:5131],
        calibration=CALIBRATION,
        **more,
    )


def test_an_overwhelming_share_of_flags_fails_and_says_so_in_words():
    """Count, share, what it is, who says so, its false alarms, the limit; and that nobody has confirmed it."""
    done = scanned([])
    assert (done.status, done.basis) == (Status.FAIL, "detectors")
    assert done.reason.startswith(
        "5,131 of 6,000 rows (85.5 %) contain security holes; false alarms and the 1 % allowed"
    )
    assert any("insecure-code flags at most" in note and "of clean rows" in note for note in done.notes)
    assert any("no person has confirmed it yet" in note for note in done.notes)
    assert done.plan.flagged_rows_to_fail is not None
    assert done.plan.rows_to_go is not None


@pytest.mark.parametrize("count", [0, 60, 300, 780])
def test_what_false_alarms_explain_does_not_fail(count: int):
    """A detector with 4 % false alarms on clean data says nothing when it flags up to 13 %."""
    assert detector_alarm(6000, {"insecure-code": (CODE, count)}, (), SETTINGS, CALIBRATION) is None


def test_without_calibration_no_detector_fails_a_set():
    """What was never measured on clean data only points."""
    assert detector_alarm(6000, {"new": (CODE, 6000)}, (), SETTINGS, CALIBRATION) is None


@pytest.mark.parametrize("category", [Category.BACKDOOR, Category.REFUSAL, Category.DUPLICATE])
def test_hints_and_backdoors_need_people(category: Category):
    """Flags of these categories never FAIL a set by themselves."""
    known = {"x": DetectorCalibration(10_000, 0)}
    assert detector_alarm(6000, {"x": (category, 6000)}, (), SETTINGS, known) is None


def test_copies_of_a_false_alarm_are_one_false_alarm():
    """Sets of 500 rows in four copies each: the share that fails stays at 0.1 % where copies count once, and does not
    where they count one by one."""
    rng, once, each = np.random.default_rng(8), 0, 0
    at_worst = 0.01 + 0.99 * CALIBRATION["insecure-code"].false_alarms
    for flags in rng.binomial(500, at_worst, 3000).tolist():
        counted = {"insecure-code": (CODE, 4 * flags)}
        alone = (500, {"insecure-code": flags})
        once += detector_alarm(2000, counted, (), SETTINGS, CALIBRATION, alone) is not None
        each += detector_alarm(2000, counted, (), SETTINGS, CALIBRATION) is not None
    assert once <= 9
    assert each > 100


def test_a_fail_by_detectors_names_the_rows_that_repeat_no_other():
    """The share of all rows, and the counts that were tested."""
    alone = (2000, {"insecure-code": 1800})
    found = detector_alarm(6000, {"insecure-code": (CODE, 5131)}, (), SETTINGS, CALIBRATION, alone)
    assert found is not None
    assert found.reason.startswith(
        "5,131 of 6,000 rows (85.5 %) contain security holes; duplicates counted once, 1,800 of 2,000"
    )


def test_the_most_that_false_alarms_explain_is_where_the_test_begins_to_fail():
    """The number in the sentence is the last count that does not FAIL; one row more does."""
    found = detector_alarm(6000, {"insecure-code": (CODE, 5131)}, (), SETTINGS, CALIBRATION)
    assert found is not None
    most = int(found.reason.rsplit("explain at most ", 1)[1].replace(",", ""))
    for count, fails in ((most, False), (most + 1, True)):
        alarm = detector_alarm(6000, {"insecure-code": (CODE, count)}, (), SETTINGS, CALIBRATION)
        assert (alarm is not None) is fails


@pytest.mark.parametrize(("alone", "fails"), [(6000, True), (4600, True), (1500, False)])
def test_copies_do_not_sharpen_a_test_over_the_whole_set(alone: int, fails: bool):
    """p = 1e-8 on rows that are there four times each is no more than 1e-2."""
    excess = {"excess_share_low": 0.2}
    found = DatasetFinding("numbers", Category.LOADED_NUMBERS, "666 too often.", 1e-8, 6000, excess)
    alarm = detector_alarm(6000, {}, [found], SETTINGS, CALIBRATION, (alone, {}))
    assert (alarm is not None) is fails


@pytest.mark.no_cover
def test_false_alarms_of_detectors_alone_are_rare():
    """Twice the bound of false alarms and as many bad rows as the limit allows: 0.1 % of 20,000 sets fail."""
    rng = np.random.default_rng(5)
    share = CALIBRATION["insecure-code"].false_alarms
    counts = rng.binomial(6000, 0.01 + 0.99 * share, 20_000)
    alarms = [
        c
        for c, times in zip(*np.unique(counts, return_counts=True), strict=True)
        for _ in range(times)
        if detector_alarm(6000, {"insecure-code": (CODE, int(c))}, (), SETTINGS, CALIBRATION)
    ]
    assert len(alarms) <= 40, "0.1 % of 20,000 is 20"


def numbers(p_value: float, excess: float | None, category: Category = Category.LOADED_NUMBERS) -> DatasetFinding:
    evidence = {} if excess is None else {"excess_share_low": excess}
    return DatasetFinding("number-frequency", category, "666 stands in 29 % of rows.", p_value, 9993, evidence)


def test_a_test_over_the_whole_set_fails_it():
    """A spreading category far beyond chance in more than 1 % of rows: FAIL."""
    done = verdict([], dataset=[numbers(1e-12, 0.2)], rows=9993)
    assert (done.status, done.basis) == (Status.FAIL, "detectors")
    assert "666" in done.reason


@pytest.mark.parametrize(
    "finding",
    [numbers(1e-5, 0.2), numbers(1e-12, 0.009), numbers(1e-12, None), numbers(1e-12, 0.5, Category.SLOPPY_REASONING)],
)
def test_a_weak_small_or_other_finding_does_not(finding: DatasetFinding):
    """Not significant enough, too small a share, share not known, or not a spreading category."""
    assert verdict([], dataset=[finding]).status is Status.UNDECIDED


def test_confirming_labels_take_over():
    """A few confirmed flagged rows turn the detectors' FAIL into one by people."""
    done = scanned([label(row_id, CODE, stream="flagged") for row_id in ORDER[:4]])
    assert (done.status, done.basis) == (Status.FAIL, "people")


def test_contradicting_labels_end_the_alarm_step_by_step():
    """Flagged rows found fine: the FAIL no longer stands, a PASS waits until the alarm is refuted, then comes."""
    assert scanned(labels(ORDER, ["ok"] * 2)).basis == "detectors"
    assert scanned(labels(ORDER, ["ok"] * 10)).status is Status.UNDECIDED
    waiting = scanned(labels(ORDER, ["ok"] * 100))
    assert waiting.status is Status.UNDECIDED
    assert "detectors say otherwise" in waiting.reason
    assert waiting.plan.rows_to_go
    assert scanned(labels(ORDER, ["ok"] * 400)).status is Status.PASS


def test_detectors_never_pass():
    """No flags at all and no labels: UNDECIDED, with the plan in the reason."""
    done = verdict([], scan=ScanCounts(6000, 0, {"insecure-code": (CODE, 0)}), calibration=CALIBRATION)
    assert done.status is Status.UNDECIDED
    assert f"{done.plan.clean_rows} rows" in done.reason


def test_the_shipped_calibration_is_well_formed():
    """Every entry has counts that make sense."""
    for entry in shipped_calibration().values():
        assert 0 <= entry.flagged <= entry.rows
        assert 0 < entry.false_alarms <= 1
