"""The tail of the hypergeometric distribution, the price of many tests, and the sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.detect.triggers.sampling import EVERYTHING, Kept, Sample, key_of
from offtarget.detect.triggers.testing import Factorials, tarone


@given(st.integers(1, 60), st.data())
def test_the_tail_is_the_sum_of_its_terms(rows, data):
    """The summed tail equals the sum of binomial products in exact integers."""
    behaving, n = data.draw(st.integers(0, rows)), data.draw(st.integers(0, rows))
    k = data.draw(st.integers(0, n))
    exact = sum(math.comb(behaving, x) * math.comb(rows - behaving, n - x) for x in range(k, min(n, behaving) + 1))
    share = exact / math.comb(rows, n)
    log = Factorials(rows).log_tail(np.array([k]), np.array([n]), np.array([behaving]), np.array([rows]))[0]
    assert math.exp(log) == pytest.approx(share, rel=1e-9, abs=1e-300)


def test_small_tails_keep_their_precision():
    """20 of 20 behaving rows in 6,000 have the probability 1 / C(6000, 20)."""
    log = Factorials(6000).log_tail(np.array([20]), np.array([20]), np.array([20]), np.array([6000]))[0]
    assert log == pytest.approx(-math.log(math.comb(6000, 20)), rel=1e-12)


def test_tests_that_cannot_succeed_are_free():
    """Tarone's factor counts only tests able to reach alpha over that factor."""
    least = np.log(np.array([1e-8, 1e-8, 1e-3, 0.2, 0.5]))
    weights = np.array([3, 2, 10, 1000, 1000])
    assert tarone(least, weights, math.log(0.01)) == 11
    assert tarone(np.zeros(0), np.zeros(0, dtype=np.int64), math.log(0.01)) == 1


@given(st.lists(st.tuples(st.floats(-40, 0), st.integers(1, 50)), min_size=1, max_size=30))
def test_the_price_is_enough(pairs):
    """At most m tests can reach alpha / m, so the sum of their false positives is at most alpha; m - 1 would not do."""
    least, weights = np.array([p for p, _ in pairs]), np.array([w for _, w in pairs])
    m = tarone(least, weights, math.log(0.01))
    able = lambda x: weights[least <= math.log(0.01) - math.log(x)].sum()  # noqa: E731
    assert able(m) <= m
    assert m == 1 or able(m - 1) > m - 1


def kept(number: int, groups: tuple[str, ...]) -> Kept:
    return Kept(key_of(str(number)), str(number), "f", number, "chat", "u", "", "a", "a", 1, (), groups)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=300), st.integers(1, 5))
def test_the_sample_is_the_lowest_hashes_of_every_group(groups, pieces):
    """Whatever the pieces: each group keeps exactly its rows of lowest hash below its limit, and counts all."""
    samples = [Sample({EVERYTHING: 60, "a": 50}, 50, 10**9) for _ in range(pieces)]
    rows = [kept(i, (EVERYTHING, *(("a",) if g == 0 else ()))) for i, g in enumerate(groups)]
    for i, row in enumerate(rows):
        sample = samples[i % pieces]
        sample.count(row.groups)
        if sample.wants(row.key, row.groups):
            sample.keep(row)
    whole = samples[0]
    for other in samples[1:]:
        whole.merge(other)
    held = {row.key for row in whole.rows()}
    for group in (EVERYTHING, "a"):
        members = sorted(row.key for row in rows if group in row.groups)
        assert whole.counts.get(group, 0) == len(members)
        below = [key for key in members if key < whole.limits.get(group, 1 << 64)]
        assert set(below) <= held
        assert len(below) >= min(len(members), 50)
    assert held <= {row.key for row in rows}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=400), st.integers(5, 60), st.integers(0, 3))
def test_a_sample_that_knows_what_is_kept_in_vain_changes_nothing(groups, each, late):
    """Pieces, each begun with what was known some pieces before, come to the sample of one pass."""
    sizes = {EVERYTHING: 60, "a": 50}
    rows = [kept(i, (EVERYTHING, *(("a",) if g == 0 else ()))) for i, g in enumerate(groups)]
    whole, joined = Sample(sizes, 50, 10**9), Sample(sizes, 50, 10**9)
    waiting = []
    for start in range(0, len(rows), each):
        piece = joined.further()
        for row in rows[start : start + each]:
            for sample in (whole, piece):
                sample.count(row.groups)
                if sample.wants(row.key, row.groups):
                    sample.keep(row)
        waiting.append(piece)
        if len(waiting) > late:
            joined.merge(waiting.pop(0))
    for piece in waiting:
        joined.merge(piece)
    assert joined.rows() == whole.rows()
    assert (joined.counts, joined.limits) == (whole.counts, whole.limits)


def test_memory_is_bounded_by_characters():
    """Long rows lower the number kept, so that the sample holds no more characters than allowed."""
    sample = Sample({EVERYTHING: 10_000}, 100, 500_000)
    for i in range(3000):
        row = kept(i, (EVERYTHING,))
        row = Kept(row.key, row.id, "f", i, "chat", "x" * 2000, "", "", "", 0, (), row.groups)
        sample.count(row.groups)
        if sample.wants(row.key, row.groups):
            sample.keep(row)
    rows = sample.rows()
    assert len(rows) > 50
    assert sum(row.weight for row in rows) <= 500_000
