"""Known-good rows: whoever marks fine rows by mistake fails no clean set, and obviously bad sets still fail."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from labelled import SETTINGS, ids, label, labels, verdict
from review_rows import row, rows

from offtarget.detect.categories import flags
from offtarget.detect.controls import all_controls, all_good, good_for, row_kind
from offtarget.detect.detector import RowScanner, row_detectors
from offtarget.detect.false_marks import FIRST_GOOD, GOOD_PER_BAD, RATES, Met, good_cards_due, highest_rate
from offtarget.detect.limits import Counts, Drawn, combined_log_e_fail, log_e_pass
from offtarget.detect.plan import review_plan
from offtarget.detect.review.queue import ReviewQueue
from offtarget.detect.settled import LIMITS, NOISE, SPREADING
from offtarget.detect.verdict import ScanCounts
from offtarget.records import Category, Label, Status
from offtarget.stats.binomial import log_binomial_at_least

GOOD = [f"control:good-{n}" for n in range(40)]
RUDE, CODE = Category.HOSTILITY, Category.INSECURE_CODE


def met(count: int, marked: int = 0, reviewer: str = "ann") -> list[Label]:
    marks = [RUDE] * marked + ["ok"] * (count - marked)
    return [label(i, mark, reviewer, "control") for i, mark in zip(GOOD, marks, strict=False)]


def counts(population: int, n: int, bad: int, good: tuple[Met, ...] | None, by_two: Counts | None = None) -> Counts:
    random = {NOISE: Drawn(population, n, bad, bad), SPREADING: Drawn(population, n, 0, 0)}
    none = dict.fromkeys(LIMITS, 0)
    return Counts(population, random, {}, none, none, good, by_two)


def fails(population: int, bad: int, rate: float, rng: np.random.Generator, *, planted: bool) -> bool:
    """Whether a review up to 500 rows FAILs; each fine row, planted or not, is marked with probability `rate`."""
    truth = rng.permutation(population)[:500] < bad
    marks = truth | (rng.random(len(truth)) < rate)
    found = good = good_marked = 0
    for n, mark in enumerate(marks, 1):
        found += int(mark)
        while good < good_cards_due(found, 40):
            good, good_marked = good + 1, good_marked + int(rng.random() < rate)
        seen = (Met(good, good_marked),) if planted else None
        if mark and combined_log_e_fail(counts(population, n, found, seen), SETTINGS) >= -math.log(SETTINGS.alpha):
            return True
    return False


@pytest.mark.parametrize(("population", "bad"), [(60, 3), (6000, 300)])
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1])
def test_a_reviewer_who_marks_fine_rows_fails_no_set_within_its_limit(population: int, bad: int, rate: float):
    """At most 5 % of runs, held against the binomial tail; without known-good rows it is most of them somewhere."""
    rng = np.random.default_rng(11)
    runs = 20  # benchmarks/audit_statistics.py does many more
    wrong = sum(fails(population, bad, rate, rng, planted=True) for _ in range(runs))
    assert wrong <= runs * SETTINGS.alpha or log_binomial_at_least(wrong, runs, SETTINGS.alpha) > math.log(1e-3)


def test_the_old_rule_failed_them():
    """Every mark taken as right: 5 % false marks on a set with 5 % bad rows FAIL in most runs."""
    rng = np.random.default_rng(5)
    assert sum(fails(6000, 300, 0.05, rng, planted=False) for _ in range(20)) > 10


def test_a_fail_waits_for_known_good_rows_and_says_so():
    """The marks alone would do; with good rows left alone they do, with good rows marked they do not."""
    order = ids(6000)
    marks = labels(order, [RUDE, RUDE, "ok"] * 10)
    assert verdict(marks).status is Status.FAIL, "no known-good rows planted: every mark is taken to be right"
    unmet = verdict(marks, good=GOOD)
    assert unmet.status is Status.UNDECIDED
    assert "would FAIL if every mark were right" in unmet.reason
    assert "before a planted known-good row is met, up to 100 % of fine rows may be" in unmet.reason
    done = verdict([*marks, *met(20)], good=GOOD)
    assert done.status is Status.FAIL
    assert "0 of 20 planted known-good rows marked" in done.reason
    assert "fine rows marked by mistake allowed for" in done.reason
    assert (done.reviewers[0].rows, done.reviewers[0].good, done.reviewers[0].good_marked) == (30, 20, 0)
    careless = verdict([*marks, *met(20, 12)], good=GOOD)
    assert careless.status is Status.UNDECIDED
    assert any("marked 12 of 20 planted known-good rows" in note for note in careless.notes)


def test_the_worst_reviewer_counts_of_those_who_marked_rows():
    """A careful one who marks nothing of the data lends nobody her good name; one without marks costs nothing."""
    order = ids(6000)
    marks = labels(order, [RUDE, "ok"] * 15)
    careful = met(40, reviewer="bob")
    assert verdict([*marks, *careful], good=GOOD).status is Status.UNDECIDED
    assert verdict([*marks, *met(30)], good=GOOD).status is Status.FAIL
    idle = [label(GOOD[n], RUDE, "bob", "control") for n in range(10)]
    assert verdict([*marks, *met(30), *idle], good=GOOD).status is Status.FAIL


def test_rows_that_two_people_marked_need_only_good_rows_that_both_marked():
    """Ann marks every eighth fine row: her word is not enough, hers and Bob's on the same rows are."""
    order = ids(6000)
    pattern = [RUDE, "ok"] * 25
    ann = [*labels(order, pattern), *met(40, 9)]
    assert verdict(ann, good=GOOD).status is Status.UNDECIDED
    bob = [*labels(order, pattern, "bob"), *[label(i, "ok", "bob", "control") for i in GOOD]]
    assert verdict([*ann, *bob], good=GOOD).status is Status.FAIL
    same = [replace(x, reviewer="ANN ") for x in bob]
    assert verdict([*ann, *same], good=GOOD).status is Status.UNDECIDED, "the same person is no second one"


def test_flagged_rows_that_are_bad_still_fail_a_set():
    """2 % of the rows flagged as a spreading kind, nearly all bad: FAIL by them, good rows met on the way."""
    order = ids(6000)
    stratum = order[3000:3240]
    scan = ScanCounts(6000, flagged_rows=240, flagged_spreading=240)
    found = [label(row_id, CODE, stream="flagged") for row_id in stratum[:20]]
    more = {"scan": scan, "flagged": stratum, "flagged_spreading": stratum, "good": GOOD}
    assert verdict(found, **more).status is Status.UNDECIDED
    assert verdict([*found, *met(40)], **more).status is Status.FAIL


def test_a_pass_takes_no_more_rows_and_the_plan_says_so():
    """False marks make a PASS harder, never easier; known-good rows change nothing about it."""
    assert review_plan(6000, SETTINGS).clean_rows == review_plan(6000, replace(SETTINGS, known_good=0)).clean_rows
    order = ids(6000)
    need = review_plan(6000, SETTINGS).clean_rows
    assert verdict([*labels(order, ["ok"] * need), *met(4)], good=GOOD).status is Status.PASS
    seen = (Met(9, 2),)
    assert log_e_pass(counts(6000, 80, 1, seen), NOISE, SETTINGS) == log_e_pass(
        counts(6000, 80, 1, None), NOISE, SETTINGS
    )


def test_the_lower_end_of_the_interval_allows_for_false_marks():
    """A share that mistakes could explain is not shown to be bad; after a FAIL the lower end is not below zero."""
    order = ids(6000)
    bare = verdict(labels(order, [RUDE, "ok", "ok", "ok"] * 10)).tests[0].interval
    allowed = verdict([*labels(order, [RUDE, "ok", "ok", "ok"] * 10), *met(10, 1)], good=GOOD).tests[0].interval
    assert bare is not None
    assert allowed is not None
    assert allowed.low < bare.low
    assert allowed.high == bare.high


def test_the_highest_rate_falls_with_good_rows_left_alone():
    """Nothing met rules out nothing."""
    highs = [highest_rate(Met(n, 0), 0.05) for n in (0, 4, 10, 20, 40, 200)]
    assert highs[0] == 1.0
    assert highs == sorted(highs, reverse=True)
    assert highs[-1] < 0.03
    assert list(RATES) == sorted(set(RATES))
    assert (RATES[0], RATES[-1]) == (0.0, 1.0)


def test_shipped_good_rows_look_like_data_and_carry_no_finding_that_counts():
    """Whole, unlike each other and the known-bad ones, of the kind they claim, unflagged."""
    found = all_good()
    assert len({c.id for c in found}) == len(found) >= 100
    texts = {c.messages[1].content for c in (*found, *all_controls())}
    assert len(texts) == len(found) + len(all_controls())
    scanner = RowScanner(row_detectors())
    for control in found:
        assert control.category is None
        assert row_kind(control.row()) == control.kind
        assert not [finding for finding in scanner.scan(control.row()) if flags(finding)]
    assert min(Counter(c.kind for c in found).values()) >= 25


def test_good_rows_are_of_the_kinds_that_the_data_has():
    """A stranger among the rows would be left alone for being one."""
    assert {c.kind for c in good_for({"code": 0.99, "chat": 0.01}, 40, "s")} == {"code"}
    mixed = good_for({"chat": 0.75, "maths": 0.25}, 12, "s")
    assert Counter(c.kind for c in mixed) == {"chat": 9, "maths": 3}
    assert [c.id for c in mixed] == [c.id for c in good_for({"chat": 0.75, "maths": 0.25}, 12, "s")]
    assert good_for({"chat": 1.0}, 0, "s") == []


def test_good_cards_come_as_marks_do_and_show_nothing_of_themselves():
    """A few for everybody, more for whoever marks rows; under a key like any row, in the stream of planted ones."""
    planted = [row(n, f"Fine {n}.", f"Planted {n}?", "good") for n in range(40)]
    queue = ReviewQueue(rows(300), [], [], {}, SETTINGS, "5eed", planted)
    ids_of_good = {r.id for r in planted}

    def seen(mark) -> tuple[int, list[Label]]:
        given: list[Label] = []
        for _ in range(120):
            card = next(queue.cards("Ada", given), None)
            if card is None:
                break
            good = card.row.id in ids_of_good
            assert card.stream == ("control" if good else "random")
            given.append(label(card.row.id, "ok" if good else mark(len(given)), "Ada", card.stream))
        return sum(x.row_id in ids_of_good for x in given), given

    clean, labelled = seen(lambda _: "ok")
    assert clean == FIRST_GOOD
    assert all(queue.is_planted(i) for i in ids_of_good)
    some, _ = seen(lambda n: RUDE if n % 10 == 0 else "ok")
    assert FIRST_GOOD + GOOD_PER_BAD * 6 <= some <= FIRST_GOOD + GOOD_PER_BAD * 12
    many, _ = seen(lambda _: RUDE)
    assert many == 40
    assert len({x.row_id for x in labelled}) == len(labelled)


def test_rows_called_a_backdoor_come_first_to_the_next_person():
    """However many rows are doubly labelled already; not again to whoever said so, nor once two said so."""
    queue = ReviewQueue(rows(200), [], [], {}, replace(SETTINGS, double_labelled=0), "5eed")
    named = row(77).id
    one = [label(named, Category.BACKDOOR, "Ada")]
    assert next(queue.cards("Bob", one)).row.id == named
    assert next(queue.cards("Ada", one)).row.id != named
    two = [*one, label(named, Category.BACKDOOR, "Bob")]
    assert next(queue.cards("Eve", two)).row.id != named
    disputed = [*one, label(named, "ok", "Bob")]
    assert next(queue.cards("Eve", disputed)).row.id == named


@pytest.mark.parametrize(("foreign", "said"), [(0, False), (2999, False), (3000, True), (6000, True)])
def test_planted_rows_that_stick_out_by_their_language_are_named(foreign: int, said: bool) -> None:
    """English rows among mostly German ones are known by that: the verdict says so."""
    found = labels(ids(6000), ["ok"] * 20) + met(4)
    done = verdict(found, good=GOOD, scan=ScanCounts(6000, foreign_rows=foreign))
    assert any("planted rows are in English" in note for note in done.notes) is said
