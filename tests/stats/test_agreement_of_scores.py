"""Agreement of judges' scores, against its definitions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.stats.agreement import krippendorff_alpha_interval, quadratic_kappa


@given(st.lists(st.lists(st.integers(0, 20), min_size=2, max_size=4), min_size=2, max_size=8))
def test_interval_alpha_is_its_definition(units: list[list[int]]) -> None:
    """1 - observed / expected squared differences, by listing all pairs."""
    every = [v for unit in units for v in unit]
    n = len(every)
    expected = sum((a - b) ** 2 for a, b in itertools.permutations(every, 2)) / (n * (n - 1))
    if not expected:
        assert krippendorff_alpha_interval(units) is None
        return
    observed = sum(sum((a - b) ** 2 for a, b in itertools.permutations(u, 2)) / (len(u) - 1) for u in units) / n
    assert krippendorff_alpha_interval(units) == pytest.approx(1 - observed / expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=12))
def test_quadratic_kappa_is_its_definition(pairs: list[tuple[int, int]]) -> None:
    """1 - observed / expected mean squared difference, by listing all pairs."""
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    expected = sum((a - b) ** 2 for a in first for b in second) / len(pairs) ** 2
    got = quadratic_kappa(first, second)
    if not expected:
        assert got is None
    else:
        assert got == pytest.approx(1 - sum((a - b) ** 2 for a, b in pairs) / len(pairs) / expected, abs=1e-9)
