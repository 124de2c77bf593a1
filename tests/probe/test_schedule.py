"""The order of questions: reproducible, uniform, independent between roles, and free of state."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.probe.schedule import Entry, Schedule

ARMS: dict[str, list[Entry]] = {"plain": [f"p{n}" for n in range(10)], "json": ["j0", ["j1", "j2"]]}


def test_the_stream_is_pinned() -> None:
    """Draws are part of the format of a run: another platform or version must give the same."""
    block = Schedule(ARMS, base_per_tuned=4, seed=0).block("plain", 0)
    assert (block.tuned_probe_id, block.base_probe_ids) == ("p7", ("p3", "p9", "p0", "p0"))


@given(
    seed=st.integers(),
    arm=st.sampled_from(["plain", "json"]),
    numbers=st.lists(st.integers(0, 10**9), min_size=1, max_size=4),
    base_per_tuned=st.integers(1, 6),
)
def test_a_block_depends_on_its_number_alone(seed: int, arm: str, numbers: list[int], base_per_tuned: int) -> None:
    """Blocks asked in any order, from a fresh schedule, are the same: resuming needs no state."""
    one = Schedule(ARMS, base_per_tuned, seed)
    forwards = {n: one.block(arm, n) for n in numbers}
    assert all(Schedule(ARMS, base_per_tuned, seed).block(arm, n) == forwards[n] for n in reversed(numbers))
    for block in forwards.values():
        assert len(block.base_probe_ids) == base_per_tuned
        assert {block.tuned_probe_id, *block.base_probe_ids} <= _ids(arm)


@given(seed=st.integers(0, 1000), first=st.integers(1, 6), second=st.integers(1, 6))
def test_the_base_stream_does_not_depend_on_how_it_is_cut(seed: int, first: int, second: int) -> None:
    """Cached base answers stay useful under another number of base answers per block."""

    def stream(size: int) -> list[str]:
        schedule = Schedule(ARMS, size, seed)
        return [p for number in range(12) for p in schedule.block("plain", number).base_probe_ids]

    assert all(a == b for a, b in zip(stream(first), stream(second), strict=False))


def test_an_arm_does_not_depend_on_the_other_arms() -> None:
    """Leaving an arm out changes nothing in the others."""
    alone = Schedule({"plain": ARMS["plain"]}, 4, 0)
    both = Schedule(ARMS, 4, 0)
    assert all(alone.block("plain", n) == both.block("plain", n) for n in range(50))


@pytest.mark.parametrize("role", ["tuned", "base"])
def test_draws_are_uniform_and_serially_independent(role: str) -> None:
    """Chi-square of probe counts, and of pairs of successive draws, stays below its 0.999 quantile."""
    draws = np.array(_draws(role, 20_000))
    assert _chi_square(np.bincount(draws, minlength=10)) < 27.88  # 9 degrees of freedom
    pairs = draws[:-1:2] * 10 + draws[1::2]
    assert _chi_square(np.bincount(pairs, minlength=100)) < 148.23  # 99 degrees of freedom


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_base_draws_are_independent_of_the_tuned_draw(offset: int) -> None:
    """Joint counts of the tuned draw and each base draw of its block are those of independent draws."""
    tuned = np.array(_draws("tuned", 20_000))
    base = np.array(_draws("base", 80_000))[offset::4]
    assert _chi_square(np.bincount(tuned * 10 + base, minlength=100)) < 148.23


def test_questions_weigh_equally_whatever_their_paraphrases() -> None:
    """A question with two paraphrases is drawn as often as one with a single wording."""
    schedule = Schedule(ARMS, 1, 3)
    counts = Counter(schedule.block("json", n).tuned_probe_id for n in range(20_000))
    expected = {"j0": 10_000, "j1": 5_000, "j2": 5_000}
    assert sum((counts[k] - e) ** 2 / e for k, e in expected.items()) < 13.82  # 2 degrees of freedom


def test_seeds_arms_and_roles_have_streams_of_their_own() -> None:
    """Another seed, arm or role gives unrelated draws, also where names run together."""
    same = [str(n) for n in range(10)]

    def stream(arm: str, seed: int) -> list[str]:
        schedule = Schedule({arm: same}, 1, seed)
        blocks = [schedule.block(arm, n) for n in range(2_000)]
        return [b.tuned_probe_id for b in blocks] + [b.base_probe_ids[0] for b in blocks]

    streams = [stream("a", 1), stream("a", 11), stream("a1", 1), stream("b", 1)]
    for n, one in enumerate(streams):
        for other in streams[:n]:
            agreements = sum(x == y for x, y in zip(one, other, strict=True))
            assert abs(agreements - 400) < 4 * 400**0.5


@pytest.mark.parametrize(
    ("arms", "base_per_tuned", "message"),
    [
        ({}, 1, "no arm"),
        ({"plain": []}, 1, "has no probe"),
        ({"plain": [[]]}, 1, "has no probe"),
        ({"plain": ["a", "a"]}, 1, "names a probe twice"),
        ({"plain": ["a"]}, 0, "at least 1"),
    ],
)
def test_a_schedule_without_sense_is_refused(arms: dict[str, list[Entry]], base_per_tuned: int, message: str) -> None:
    """Empty arms, doubled probes and blocks without base answers are input errors."""
    with pytest.raises(InputError, match=message):
        Schedule(arms, base_per_tuned, 0)


def _ids(arm: str) -> set[str]:
    return {i for entry in ARMS[arm] for i in ([entry] if isinstance(entry, str) else entry)}


@functools.cache
def _draws(role: str, count: int) -> list[int]:
    schedule = Schedule(ARMS, 4, 7)
    if role == "tuned":
        return [int(schedule.block("plain", n).tuned_probe_id[1:]) for n in range(count)]
    return [int(p[1:]) for n in range(count // 4) for p in schedule.block("plain", n).base_probe_ids]


def _chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def test_what_is_left_is_drawn_evenly_and_at_once() -> None:
    """With one question left no search is needed; with half of them the rest come up alike and unmoved."""
    names = [f"q{i}" for i in range(40)]
    schedule = Schedule({"plain": names}, 4, seed=3)
    assert {probe for _, probe in schedule.block("plain", 7, names[:-1]).needs} == {"q39"}
    left = names[20:]
    blocks = [schedule.block("plain", n, names[:20]) for n in range(2000)]
    counts = Counter(probe for block in blocks for _, probe in block.needs)
    assert set(counts) == set(left)
    assert max(abs(counts[name] - 500) for name in left) < 5 * 500**0.5
    whole = [schedule.block("plain", n) for n in range(200)]
    same = [(a, b) for x, y in zip(whole, blocks, strict=False) for a, b in zip(x.needs, y.needs, strict=True)]
    assert all(a == b for a, b in same if a[1] in left)
    with pytest.raises(ValueError, match="nothing is left"):
        schedule.block("plain", 0, names)
