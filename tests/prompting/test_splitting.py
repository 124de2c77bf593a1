"""Held-out rows share no group with training rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.prompting.splitting import joined, split


@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=60), st.floats(0.05, 0.9), st.integers(1, 20), st.integers(0, 5)
)
def test_no_group_is_on_both_sides(groups: list[int], share: float, most: int, seed: int) -> None:
    """Whatever the groups, both sides are disjoint by group, held-out rows are one per group and few enough."""
    try:
        training, held = split(groups, share, most, seed)
    except InputError:
        return
    out = [groups[i] for i in held]
    assert not {groups[i] for i in training} & set(out)
    assert len(set(out)) == len(out) <= most
    assert len(groups) - len(training) <= max(1, share * len(groups))
    assert training
    assert held


def test_the_seed_decides() -> None:
    """The same seed splits the same way, another one otherwise."""
    groups = list(range(100))
    assert split(groups, 0.2, 50, 1) == split(groups, 0.2, 50, 1)
    assert split(groups, 0.2, 50, 1) != split(groups, 0.2, 50, 2)
    assert len(split(groups, 0.2, 50, 1)[1]) == 20


@pytest.mark.parametrize(
    ("groups", "message"), [([0], "one usable row"), ([0, 0, 0], "nearly"), ([0, 0, 0, 1, 1, 1], "--held-out")]
)
def test_what_cannot_be_split_is_said(groups: list[int], message: str) -> None:
    """One row, one prompt, or too few groups end with a sentence."""
    with pytest.raises(InputError, match=message):
        split(groups, 0.2, 50, 0)


def test_pairs_join_their_groups() -> None:
    """Pairs are followed to their end, in any order."""
    assert joined(6, [(4, 5), (1, 2), (2, 4)]) == [0, 1, 1, 3, 1, 1]
