"""Which answers make a block depends on their order alone, and few of them ever wait."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.stats.canary.blocks import MOST_BLOCKS, MOST_TUNED, Waiting

roles = st.lists(st.sampled_from(["tuned", "base"]), max_size=400)


def sizes(arrivals: list[str], wanted: int, kinds: list[int]) -> tuple[list[tuple[int, int]], Waiting, list[int]]:
    waiting, made, used = Waiting(wanted), [], []
    for role, kind in zip(arrivals, kinds, strict=True):
        for size, members in waiting.add(role, kind):  # type: ignore[arg-type]
            assert len(members) == sum(size)
            made.append(tuple(size))
            used += members
    return made, waiting, used


@settings(max_examples=100, deadline=None)
@given(arrivals=roles, wanted=st.integers(1, 25))
def test_every_answer_is_used_once_waits_or_is_left_out(arrivals: list[str], wanted: int) -> None:
    made, waiting, used = sizes(arrivals, wanted, list(range(len(arrivals))))
    left = [*waiting.queues["tuned"], *waiting.queues["base"]]
    assert len(set(used)) == len(used)
    assert not set(used) & set(left)
    assert len(used) + len(left) + sum(waiting.unused.values()) == len(arrivals)
    assert len(waiting.queues["tuned"]) <= MOST_TUNED
    assert len(waiting.queues["base"]) <= MOST_BLOCKS * wanted
    assert sum(t for t, _ in made) == sum(arrivals[i] == "tuned" for i in used)


@settings(max_examples=50, deadline=None)
@given(arrivals=roles, wanted=st.integers(1, 25), one=st.integers(0, 3), other=st.integers(0, 3))
def test_what_is_in_the_answers_does_not_matter(arrivals: list[str], wanted: int, one: int, other: int) -> None:
    first = sizes(arrivals, wanted, [one] * len(arrivals))[0]
    assert first == sizes(arrivals, wanted, [other] * len(arrivals))[0]


def shares(share: float, wanted: int) -> tuple[float, float]:
    """Shares of the tuned and of the base answers that are used, at this share of traffic."""
    arrivals = ["tuned" if x < share else "base" for x in np.random.default_rng(1).random(20_000)]
    made, _, _ = sizes(arrivals, wanted, [0] * len(arrivals))
    return sum(t for t, _ in made) / arrivals.count("tuned"), sum(b for _, b in made) / arrivals.count("base")


def test_a_canary_that_grows_goes_on_with_fewer_base_answers_each() -> None:
    """At 5 to 90 % of the traffic nearly all answers of both models count."""
    for share in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        tuned, base = shares(share, 19)
        assert tuned > 0.93
        assert base > 0.9


def test_more_base_answers_than_wanted_are_left_out() -> None:
    tuned, base = shares(0.05, 4)
    assert tuned > 0.99
    assert base < 0.25


def test_blocks_grow_again_when_the_base_has_answers() -> None:
    few = ["tuned", "base"] * 200
    many = (["tuned"] + ["base"] * 30) * 200
    made, waiting, _ = sizes([*few, *many], 19, [0] * (len(few) + len(many)))
    assert (1, 1) in made
    assert made[-1] == (1, 19)
    assert waiting.size == (1, 19)
