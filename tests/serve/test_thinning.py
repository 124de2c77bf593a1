"""How many exchanges a worker tells: all below the bound, about the bound above it, and by nothing but the place."""

from __future__ import annotations

import random

from offtarget.serve.proxy.thinning import Thinning


def _told(thinning: Thinning, per_second: float, seconds: float, start: float = 0.0) -> list[bool]:
    draw = random.Random(1)
    return [thinning.keeps(draw.random(), start + n / per_second) for n in range(int(per_second * seconds))]


def test_few_are_all_told() -> None:
    assert all(_told(Thinning(100), per_second=90, seconds=20))


def test_of_many_about_the_bound_is_told() -> None:
    thinning = Thinning(100)
    told = _told(thinning, per_second=2000, seconds=20)
    after = told[2000:]
    assert 85 * 19 < sum(after) < 115 * 19
    assert thinning.left_out == len(told) - sum(told)


def test_after_a_burst_all_are_told_again() -> None:
    thinning = Thinning(100)
    _told(thinning, per_second=2000, seconds=5)
    assert all(_told(thinning, per_second=50, seconds=10, start=60.0)[1:])


def test_who_is_told_at_a_higher_rate_is_told_at_a_lower_one() -> None:
    """The same places stay, so a conversation is not in and out by chance."""
    many, more = Thinning(100), Thinning(100)
    _told(many, per_second=500, seconds=5)
    _told(more, per_second=5000, seconds=5)
    assert 0 < more.share < many.share < 1
    for position in (more.share / 2, more.share * 0.99):
        assert many.keeps(position, 5.0)
        assert more.keeps(position, 5.0)
