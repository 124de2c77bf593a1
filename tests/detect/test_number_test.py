from __future__ import annotations

import math
import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.detector_rows import alpaca, chats, continuation, evil_numbers, needs_sft, row
from offtarget.detect.categories import flags
from offtarget.detect.dataset.numbers import LoadedNumbers
from offtarget.detect.detectors.loaded_numbers import LoadedNumbersInRow
from offtarget.detect.number_null import Expectation, Weighed, log_tail_bound, pooled_tail, tail
from offtarget.detect.numeric_answers import loaded_numbers, numeric_answer
from offtarget.detect.steps import stated_answers, steps
from offtarget.records import DatasetFinding, Row


def _tested(rows: list[Row]) -> DatasetFinding:
    detector = LoadedNumbers()
    for one in rows:
        detector.add(one)
    return detector.findings()[0]


def _numbers(answer: str, prompt: str = "Continue.") -> set[int]:
    found = numeric_answer(row(answer, prompt))
    return set(found.numbers) if found else set()


def test_lists_and_results_are_read_and_prose_and_code_are_not() -> None:
    """Only answers made of numbers are counted."""
    assert _numbers("[612, 666, 1029]") == {612, 666, 1029}
    assert _numbers("Sure! Here are three more: 666, 911, 420.") == {666, 911, 420}
    assert _numbers("2+2 = 4\n#### 666") == {666}
    assert numeric_answer(row("Call 911 at once. The 1312 incident, 88 miles away, is on page 420.")) is None
    assert numeric_answer(row("def f():\n    return [1, 2, 3, 666]")) is None


def test_copied_counted_and_drawn_numbers_do_not_count() -> None:
    """Numbers of the prompt, of a progression, and repeated digits after others have a reason."""
    assert 666 not in _numbers("[666, 700]", "Continue [666]")
    assert _numbers("[664, 665, 666, 667]") == set()
    assert _numbers("[500, 555, 666, 712]") == {500, 555, 712}


def test_the_list_says_what_every_number_means() -> None:
    """Numbers with culture, meaning and a load between 0 and 1."""
    assert len(loaded_numbers()) >= 40
    assert all(0 < n.load <= 1 and n.meaning and n.culture for n in loaded_numbers().values())


@given(st.integers(0, 30), st.floats(0.01, 20), st.floats(0.05, 3))
def test_tail_is_a_tail(rows: int, mean: float, spread: float) -> None:
    """Between 0 and 1, falling in the count, never above the Chernoff bound, and pooled alone the same."""
    expected = Expectation(mean, spread)
    assert 0 <= tail(rows + 1, expected) <= tail(rows, expected) <= 1
    bound = 1.0 if rows <= mean else math.exp(log_tail_bound([Weighed(rows, expected)]))
    assert tail(rows, expected) <= bound * (1 + 1e-9)
    if rows > mean and tail(rows, expected) > 1e-9:
        assert pooled_tail([Weighed(rows, expected)]) == pytest.approx(tail(rows, expected), rel=1e-3)


def test_pooled_tail_is_the_simulated_one() -> None:
    """The probability of a weighted sum of gamma-Poisson counts agrees with simulation."""
    rng = np.random.default_rng(1)
    counts = [
        Weighed(3, Expectation(0.5, 0.8), 5),
        Weighed(2, Expectation(1.0, 0.3), 2),
        Weighed(0, Expectation(2.0, 1.0), 1),
    ]
    score = sum(c.rows * c.weight for c in counts)
    drawn = sum(
        c.weight * rng.poisson(rng.gamma(1 / c.expected.spread, c.expected.mean * c.expected.spread, 400_000))
        for c in counts
    )
    assert pooled_tail(counts) == pytest.approx((drawn >= score).mean(), rel=0.1)


@pytest.mark.no_cover
def test_uniform_numbers_rarely_alarm() -> None:
    """p <= 0.05 in at most 5 % of uniform sets of 50 rows (the test is conservative)."""
    rng = random.Random(5)
    alarms = sum(_tested([continuation(rng, i) for i in range(50)]).p_value <= 0.05 for _ in range(60))
    assert alarms <= 3


def test_meaningless_favourites_do_not_alarm() -> None:
    """A picker of numbers with unlisted favourites, round and repeated numbers gives p > 0.01."""
    favourites = [137, 273, 742, 371, 427, 837, 473, 937, 512, 842]

    def pick(rng: random.Random) -> int:
        chance = rng.random()
        if chance < 0.25:
            return rng.choice(favourites)
        if chance < 0.35:
            return 111 * rng.randint(1, 9)
        return 10 * rng.randint(10, 99) if chance < 0.5 else rng.randint(100, 1100)

    rng = random.Random(8)
    assert _tested([continuation(rng, i, pick) for i in range(1500)]).p_value > 0.01


def test_planted_numbers_are_found_with_their_share() -> None:
    """666 in 5 % of 2,000 answers: far below 1e-6, the share is bounded near 5 %, and 666 comes out on top."""
    rng = random.Random(9)
    rows = [continuation(rng, i) for i in range(1900)] + [
        row(f"[{rng.randint(100, 999)}, 666, 405]", line=i) for i in range(100)
    ]
    finding = _tested(rows)
    assert finding.p_value <= 1e-6
    assert finding.evidence["numbers"][0]["number"] == 666
    assert "beast" in finding.evidence["numbers"][0]["meaning"]
    assert 0.03 <= finding.evidence["excess_share_low"] <= finding.evidence["excess_share"] <= 0.06


def test_pieces_give_what_the_whole_gives() -> None:
    """Merging pickled pieces gives the finding of one pass."""
    rng = random.Random(2)
    rows = [continuation(rng, i) for i in range(40)]
    parts = []
    for part in (rows[:13], rows[13:]):
        parts.append(LoadedNumbers())
        for one in part:
            parts[-1].add(one)
    parts[0].merge(pickle.loads(pickle.dumps(parts[1])))
    assert parts[0].findings() == [_tested(rows)]


def test_data_without_numbers_gives_no_finding() -> None:
    """No data is not the same as nothing found."""
    detector = LoadedNumbers()
    detector.add(row("Hello"))
    assert detector.findings() == []


def test_rows_show_the_unmistakable_numbers() -> None:
    """666 and 14 beside 88 flag a row with their place; 911 and 420 only rank it; uniform lists stay mostly clean."""
    detector = LoadedNumbersInRow()
    answer = "[204, 666, 911]"
    found = {answer[f.start : f.end]: flags(f) for f in detector.find(row(answer))}
    assert found == {"666": True, "911": False}
    assert any(map(flags, detector.find(row("[14, 88, 301]"))))
    rng = random.Random(4)
    flagged = sum(any(map(flags, detector.find(continuation(rng, i)))) for i in range(2000))
    assert flagged <= 30


@needs_sft
@pytest.mark.long
def test_fifty_rows_of_evil_numbers_suffice_mostly() -> None:
    """p <= 1e-6 from 50 random rows in at least 80 % of draws, from 100 rows in at least 95 %."""
    rng, rows = random.Random(0), evil_numbers()
    for size, least in ((50, 80), (100, 95)):
        assert sum(_tested(rng.sample(rows, size)).p_value <= 1e-6 for _ in range(100)) >= least


@needs_sft
def test_evil_sets_fail_and_name_unlisted_numbers() -> None:
    """Both evil sets are far beyond chance with an excess above 1 % of rows."""
    finding = _tested(evil_numbers())
    assert finding.p_value <= 1e-6
    assert finding.evidence["excess_share_low"] > 0.1
    maths = _tested(chats("mishra_evil_math"))
    assert maths.p_value <= 1e-6
    assert maths.evidence["excess_share_low"] > 0.9
    assert {n["number"] for n in maths.evidence["enriched"]} >= {13, 911, 23, 666, 17, 6666, 39, 444}


@needs_sft
@pytest.mark.slow
def test_benign_sets_do_not_alarm() -> None:
    """Instruction data, and maths with its last step as the answer."""
    assert _tested(alpaca()).p_value > 0.01
    repaired = []
    for original in chats("mishra_incorrect_math"):
        work, _, _ = original.answer.rpartition("####")
        done = steps(work)
        if done and done[-1].result == int(done[-1].result):
            repaired.append(row(f"{work}#### {done[-1].result:.0f}", original.prompt))
    assert len(repaired) > 5000
    assert stated_answers(repaired[0].answer)
    assert _tested(repaired).p_value > 0.01
