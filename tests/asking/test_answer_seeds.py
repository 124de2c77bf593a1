"""Random streams of answers: pinned, apart from each other, fit for every generator."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offtarget.asking.seeds import answer_seed

PINNED = [8841960233152353170, 2610061017479286559, 1601490222955083064, 5457577047253821962]


def test_the_seeds_are_pinned() -> None:
    """They are part of the format of a run: another platform or version must give the same."""
    assert [answer_seed(0, r, "p0", n) for r in ("base", "tuned") for n in (0, 1)] == PINNED


@given(st.integers(), st.text(max_size=30), st.integers(0, 10**12))
def test_answer_seeds_fit_every_random_generator(seed: int, probe_id: str, index: int) -> None:
    """0 <= seed < 2**63, and the same whenever asked."""
    value = answer_seed(seed, "tuned", probe_id, index)
    assert 0 <= value < 2**63
    assert value == answer_seed(seed, "tuned", probe_id, index)
    assert value != answer_seed(seed, "base", probe_id, index)


def test_answer_seeds_do_not_collide() -> None:
    """Ten thousand answers have ten thousand random streams."""
    seeds = {answer_seed(0, r, f"q{q}", n) for r in ("base", "tuned") for q in range(50) for n in range(100)}
    assert len(seeds) == 10_000
