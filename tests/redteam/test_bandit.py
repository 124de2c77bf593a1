"""The search learns where pressure works, tries everything first, and is a function of its seed."""

from __future__ import annotations

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from offtarget.redteam.bandit import Bandit

CELLS = [(f"move-{m}", f"goal-{g}") for m in range(12) for g in range(4)]


def searched(seed: int, works: dict[str, float], many: int = 48) -> Bandit:
    bandit, truth = Bandit(CELLS, seed), random.Random(seed)
    for number in range(0, many, 6):
        for cell in bandit.pick(6, number):
            bandit.told(cell, truth.random() < works.get(cell[0], 0.0))
    return bandit


def test_every_move_is_tried_before_most_of_the_budget_is_gone() -> None:
    for seed in range(20):
        bandit = searched(seed, {"move-3": 0.9}, 36)
        assert {move for move, goal in CELLS if bandit.taken((move, goal))} == {f"move-{m}" for m in range(12)}


def test_what_works_is_found_and_followed_up() -> None:
    """In at least 18 of 20 searches of 48 conversations one move of twelve that works 6 times in 10 is the choice."""
    found = 0
    for seed in range(20):
        bandit = searched(seed, {"move-7": 0.6})
        weakest = bandit.weakest(6)
        found += bool(weakest) and {move for move, _ in weakest} == {"move-7"}
    assert found >= 18


def test_where_nothing_works_nothing_is_chosen() -> None:
    assert searched(1, {}).weakest(6) == []


@given(st.integers(0, 10**6))
def test_the_same_seed_and_the_same_answers_give_the_same_search(seed: int) -> None:
    """A run that goes on does what one that was not interrupted would have done."""
    first, second = searched(seed, {"move-1": 0.5}, 24), searched(seed, {"move-1": 0.5}, 24)
    assert first.pick(6, 24) == second.pick(6, 24)
    assert first.weakest(6) == second.weakest(6)


def test_many_goals_are_no_reason_to_wait() -> None:
    """Ten thousand cells, picked from while moves are untried and after that."""
    cells = [(f"m{m}", f"g{g}") for m in range(20) for g in range(500)]
    bandit = Bandit(cells, 0)
    started = time.perf_counter()
    for number in range(5):
        for cell in bandit.pick(6, number):
            bandit.told(cell, number == 0)
    assert time.perf_counter() - started < 10
