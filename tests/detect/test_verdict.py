"""The verdict: what decides, what only directs, and that it is wrong as seldom as it says."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from labelled import SETTINGS, ids, label, labels, verdict

from offtarget.detect.limits import Counts, Drawn, combined_log_e_fail, log_e_pass, round_alpha
from offtarget.detect.settled import LIMITS, NOISE, SPREADING
from offtarget.detect.verdict import ScanCounts
from offtarget.records import Category, Status

NUMBERS, CODE, RUDE = Category.LOADED_NUMBERS, Category.INSECURE_CODE, Category.HOSTILITY


def test_a_clean_set_passes_after_its_planned_rows_and_not_before():
    """The number of rows said in advance is the number it takes."""
    plan = verdict([]).plan
    order = ids(6000)
    assert verdict(labels(order, ["ok"] * (plan.clean_rows - 1))).status is Status.UNDECIDED
    done = verdict(labels(order, ["ok"] * plan.clean_rows))
    assert done.status is Status.PASS
    assert done.basis == "people"


def test_pass_says_what_it_does_not_show():
    """A PASS of the noise limit names the bound for spreading kinds and the rows missing; the test stays undecided."""
    done = verdict(labels(ids(6000), ["ok"] * 80))
    spreading = next(t for t in done.tests if t.name == SPREADING)
    assert done.status is Status.PASS
    assert spreading.status is Status.UNDECIDED
    assert spreading.rows_to_go is not None
    assert f"{spreading.rows_to_go:,} more clean rows" in done.reason
    assert "1 %" in done.reason
    assert any("Backdoors" in line for line in done.not_tested)


def test_certifying_the_spreading_limit_takes_its_rows():
    """With certify_spreading a PASS waits for the 1 % limit."""
    settings = replace(SETTINGS, certify_spreading=True)
    plan = verdict([], settings=settings).plan
    assert plan.clean_rows == plan.clean_rows_spreading > 290
    order = ids(6000)
    assert verdict(labels(order, ["ok"] * (plan.clean_rows - 1)), settings=settings).status is Status.UNDECIDED
    assert verdict(labels(order, ["ok"] * plan.clean_rows), settings=settings).status is Status.PASS


def test_a_bad_set_fails_after_few_rows_and_the_kind_is_named():
    """All random rows bad: FAIL within eight rows of noise, within four of a spreading kind."""
    order = ids(6000)
    assert verdict(labels(order, [RUDE] * 8)).status is Status.FAIL
    done = verdict(labels(order, [CODE] * 4))
    assert done.status is Status.FAIL
    assert "insecure code" in done.reason
    assert {t.name: t.status for t in done.tests}[SPREADING] is Status.FAIL


def test_one_backdoor_row_that_two_people_see_fails():
    """Zero tolerance; and without one a backdoor is never cleared, even by a full count."""
    order = ids(50)
    one = label(order[30], Category.BACKDOOR)
    done = verdict([one, label(order[30], Category.BACKDOOR, "bob")], rows=50)
    assert done.status is Status.FAIL
    assert order[30] in done.reason
    clean = verdict(labels(order, ["ok"] * 50), rows=50)
    assert clean.status is Status.PASS
    assert {t.name: t.status for t in clean.tests}["backdoor"] is Status.UNDECIDED


def test_hints_never_count():
    """A row marked bad for a mere hint, such as a refusal, counts against no limit."""
    marks = [Category.REFUSAL, Category.DUPLICATE] * 40
    assert verdict(labels(ids(6000), marks)).status is Status.PASS


def test_only_the_prefix_of_the_order_counts_as_random():
    """Rows labelled behind a gap do not speak for the data set, but are mentioned."""
    order = ids(6000)
    done = verdict(labels(order[1:], ["ok"] * 200))
    assert done.status is Status.UNDECIDED
    assert done.tests[0].labelled == 0
    assert any("ahead of the random order" in note for note in done.notes)
    assert verdict([*labels(order[1:], ["ok"] * 200), label(order[0])]).status is Status.PASS


@pytest.mark.parametrize("mark", ["skip", "unsure"])
def test_open_rows_help_no_verdict(mark):
    """Skipped and unsure rows are bad for PASS and fine for FAIL, so leaving rows out gains nothing."""
    order = ids(6000)
    assert verdict(labels(order, ["ok"] * 75 + [mark] * 8)).status is Status.UNDECIDED
    assert verdict(labels(order, [mark] * 60)).status is Status.UNDECIDED
    none = verdict(labels(order, [mark] * 60)).tests[0]
    assert none.bad == 0
    assert none.interval is not None
    assert none.interval.high > 0.9


def test_a_disputed_row_counts_for_neither_side_until_a_third_decides():
    """Bad for one, ok for another: open; two of three settle it."""
    order = ids(6000)
    base = labels(order, ["ok"] * 69)
    dispute = label(order[5], RUDE, "bob")
    disputed = verdict([*base, dispute])
    assert disputed.status is Status.UNDECIDED
    assert disputed.tests[0].bad == 0
    assert verdict([*base, dispute, label(order[5], "ok", "eve")]).status is Status.PASS
    settled = verdict([*base, dispute, label(order[5], RUDE, "eve")])
    assert settled.tests[0].bad == 1


def test_the_last_label_of_a_reviewer_counts():
    """Undoing a mark is giving another one."""
    order = ids(6000)
    marked = [label(order[0], Category.BACKDOOR), *labels(order, ["ok"] * 80)]
    assert verdict(marked).status is Status.PASS


@pytest.mark.parametrize(
    ("others", "status"),
    [
        ([], Status.UNDECIDED),
        ([("ANN ", Category.BACKDOOR)], Status.UNDECIDED),
        ([("judge:m", Category.BACKDOOR)], Status.UNDECIDED),
        ([("bob", Category.HOSTILITY)], Status.UNDECIDED),
        ([("bob", "ok")], Status.UNDECIDED),
        ([("bob", "skip")], Status.UNDECIDED),
        ([("bob", Category.BACKDOOR)], Status.FAIL),
        ([("bob", Category.BACKDOOR), ("eve", "ok")], Status.FAIL),
        ([("bob", "ok"), ("eve", "ok")], Status.PASS),
    ],
)
def test_one_persons_word_on_a_backdoor_is_no_fail_and_no_pass(others, status):
    """A second person, under another name, has to confirm it or mark the row otherwise; the sentence says so."""
    order = ids(6000)
    said = [*labels(order[1:], ["ok"] * 200), label(order[0], Category.BACKDOOR)]
    done = verdict(said + [label(order[0], mark, who) for who, mark in others])
    assert done.status is status, done.reason
    if status is Status.UNDECIDED:
        assert order[0] in done.reason
        assert "a second person, under another name" in done.reason
        assert done.unconfirmed == (order[0],)
        assert done.waits_for_a_person


def test_a_models_word_on_a_backdoor_waits_for_people():
    """Two models are no two people."""
    order = ids(6000)
    said = [x for who in ("judge:a", "judge:b") for x in labels(order, [Category.BACKDOOR] + ["ok"] * 120, who)]
    done = verdict(said, basis="judge")
    assert done.status is Status.UNDECIDED
    assert "no person's word" in done.reason


def test_only_people_overrule_the_detectors():
    """A model that finds nothing where detectors flag far more than falsely: no PASS until people have looked."""
    order = ids(400)
    scan = ScanCounts(400, flagged={"insecure-code": (CODE, 300)}, flagged_rows=300, flagged_spreading=300)
    flagged = order[::-1][:300]

    def decided(given, basis="judge"):
        return verdict(given, 400, scan=scan, flagged=flagged, flagged_spreading=flagged, basis=basis)

    assert decided([]).status is Status.FAIL
    by_judge = decided(labels(order, ["ok"] * 400, "judge:m"))
    assert by_judge.status is Status.UNDECIDED
    assert "detectors say otherwise" in by_judge.reason
    assert "people" in by_judge.reason
    assert by_judge.plan.rows_to_go is None
    assert decided(labels(order, ["ok"] * 400), "people").status is Status.PASS
    assert decided(labels(order, ["ok"] * 400, "judge:m") + labels(order, ["ok"] * 400)).status is Status.PASS


def test_flagged_copies_fail_nothing_by_themselves_and_pass_nothing_either():
    """Near-copies are one alarm, so detectors alone do not FAIL them; but no model passes them, and it is said why."""
    order = ids(400)
    scan = ScanCounts(
        400,
        flagged={"insecure-code": (CODE, 300)},
        flagged_rows=300,
        flagged_spreading=300,
        independent=(102, {"insecure-code": 2}),
    )
    flagged = order[::-1][:300]

    def decided(given, basis="judge"):
        return verdict(given, 400, scan=scan, flagged=flagged, flagged_spreading=flagged, basis=basis)

    alone = decided([])
    assert alone.status is Status.UNDECIDED
    assert "300 of 400 rows" in alone.reason
    assert "2 of 102 rows are flagged" in alone.reason
    by_judge = decided(labels(order, ["ok"] * 400, "judge:m"))
    assert by_judge.status is Status.UNDECIDED
    assert "people have read too few flagged rows" in by_judge.reason
    assert decided(labels(order, ["ok"] * 400), "people").status is Status.PASS


def test_a_judge_speaks_only_where_it_may():
    """With basis people a model has no say; with basis judge people's word goes first."""
    order = ids(6000)
    by_judge = labels(order, [CODE] * 20, "judge:m")
    assert verdict(by_judge).status is Status.UNDECIDED
    assert verdict(by_judge).basis == "detectors"
    assert verdict(by_judge, basis="judge").status is Status.FAIL
    assert verdict(by_judge, basis="judge").basis == "judge"
    both = by_judge[:10] + labels(order, ["ok"] * 80)
    assert verdict(both, basis="judge").status is Status.PASS


def test_flagged_rows_fail_a_set_that_random_rows_would_hardly():
    """2 % insecure rows, nearly all of them flagged: a few confirmed flagged rows are enough."""
    order = ids(6000)
    stratum = order[3000:3120]
    scan = ScanCounts(6000, flagged_rows=120, flagged_spreading=120)
    found = [label(row_id, CODE, stream="flagged") for row_id in stratum[:30]]
    done = verdict(found, scan=scan, flagged=stratum, flagged_spreading=stratum)
    assert done.status is Status.FAIL
    assert "flagged rows" in done.reason
    assert done.tests[0].status is Status.UNDECIDED
    few = ScanCounts(6000, flagged_rows=50, flagged_spreading=50)
    done = verdict(found, scan=few, flagged=stratum[:50], flagged_spreading=stratum[:50])
    assert done.status is Status.UNDECIDED, "50 flagged rows cannot show more than 60 bad ones"


def test_a_count_above_the_limit_is_certain():
    """61 confirmed rows of 6,000 are more than 1 %, in whatever order they were found."""
    found = [label(row_id, CODE, stream="flagged") for row_id in ids(6000)[2000:2061]]
    assert verdict(found[:60]).status is Status.UNDECIDED
    done = verdict(found)
    assert done.status is Status.FAIL
    assert "confirmed" in done.reason


@pytest.mark.parametrize("rows", [1, 5, 19, 20, 40, 59])
def test_small_sets_are_decided_by_counting(rows: int):
    """A full count is certain: PASS with none bad, FAIL with one row above the limit."""
    order = ids(rows)
    assert verdict(labels(order, ["ok"] * rows), rows=rows).status is Status.PASS
    above = math.floor(rows * 0.05) + 1
    marks = ["ok"] * (rows - above) + [RUDE] * above
    assert verdict(labels(order, marks), rows=rows).status is Status.FAIL
    assert verdict([], rows=rows).plan.clean_rows <= rows


def test_no_rows_no_verdict():
    """An empty data set is neither safe nor unsafe."""
    done = verdict([], rows=0)
    assert (done.status, done.basis) == (Status.UNDECIDED, "none")


@pytest.mark.long
def test_reaudits_pay():
    """Each round halves alpha: floor 59, 72, 86; the same clean labels no longer suffice."""
    floors = [verdict([], rows=10**6, settings=replace(SETTINGS, round=r)).plan.floor_rows for r in (1, 2, 3)]
    assert floors == [59, 72, 86]
    seventy = labels(ids(2000), ["ok"] * 70)
    assert verdict(seventy, rows=2000).status is Status.PASS
    second = verdict(seventy, rows=2000, settings=replace(SETTINGS, round=2))
    assert second.status is Status.UNDECIDED
    assert any("Round 2" in note for note in second.notes)
    total = sum(round_alpha(replace(SETTINGS, round=r)) for r in range(1, 60))
    assert total == pytest.approx(2 * SETTINGS.alpha)


@lru_cache(maxsize=100_000)
def evidence(rows: int, stratum: int, n: int, noise: int, spread: int, m: int, hits: int) -> tuple[float, float]:
    """(log e FAIL, log e PASS) after n random rows and m flagged ones."""
    counts = Counts(
        rows,
        {NOISE: Drawn(rows, n, noise, noise), SPREADING: Drawn(rows, n, spread, spread)},
        {NOISE: Drawn(stratum, m, hits, hits), SPREADING: Drawn(stratum, m, hits, hits)},
        dict.fromkeys(LIMITS, 0),
        dict.fromkeys(LIMITS, 0),
    )
    return combined_log_e_fail(counts, SETTINGS), log_e_pass(counts, NOISE, SETTINGS)


@pytest.mark.long
@pytest.mark.parametrize(("rows", "runs"), [(200, 20_000), (6000, 4_000)])
def test_false_fail_through_all_paths_at_once(rows: int, runs: int):
    """Both limits met exactly, every spreading row flagged with seven times as many clean ones: FAIL in at most 5 %.

    Three random rows, then one flagged row, a look after each; up to 300 random rows. benchmarks/audit_statistics.py
    does more runs.
    """
    looks = min(rows, 300)
    rng = np.random.default_rng(3)
    noise, spread = round(0.05 * rows), round(0.01 * rows)
    stratum = 8 * spread
    wrong = 0
    for _ in range(runs):
        # positions of the bad rows in the order; the first `spread` of them are of a spreading kind
        places = np.sort(rng.choice(rows, noise, replace=False))
        kinds = rng.permutation(noise) < spread
        hits = np.sort(rng.choice(stratum, spread, replace=False))
        events = sorted({*(places[places < looks] + 1).tolist(), *(3 * (hits + 1)).tolist()})
        for n in (e for e in events if e <= looks):  # evidence for FAIL peaks where a bad row has just been seen
            m = min(n // 3, stratum)
            seen = places < n
            found = evidence(rows, stratum, n, int(seen.sum()), int((seen & kinds).sum()), m, int((hits < m).sum()))
            if found[0] >= -math.log(0.05):
                wrong += 1
                break
    assert wrong / runs <= 0.05
    assert wrong > 0, "a border that is never crossed tests nothing"
