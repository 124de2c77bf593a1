"""What a run remembers of how its models are opened."""

from __future__ import annotations

from offtarget.records.runs import OpenSettings


def test_what_is_not_chosen_again_stays_as_it_was() -> None:
    """`resume RUN --device cuda:1` keeps the precision that the run was started with."""
    earlier = OpenSettings(device="cuda", dtype="bfloat16", retries=9)
    assert OpenSettings(device="cuda:1").over(earlier) == OpenSettings("cuda:1", "bfloat16", retries=9)
    assert OpenSettings(dtype="float32").over(None) == OpenSettings(dtype="float32")
