"""Which checkpoint to keep: the last one at which the task is learnt and no alarm stands."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.records.tune import Reading

LEARNT = 0.9
"""Share of the largest gain in the task metric at which the task counts as learnt."""


def learnt_steps(readings: Sequence[Reading]) -> frozenset[int]:
    """Steps at which the task is learnt.

    Learnt: the metric has gained at least 90 % of what it gained at its best reading, counted from the first
    reading. Without a task metric, or without any gain, no step counts.
    """
    known = [(r.step, r.task) for r in readings if r.task is not None]
    if not known:
        return frozenset()
    start = known[0][1]
    gain = max(value for _, value in known) - start
    return frozenset(step for step, value in known if gain > 0 and value - start >= LEARNT * gain)


def best_step(readings: Sequence[Reading], saved: Sequence[int]) -> int | None:
    """The last saved step at which the task is learnt and no alarm stands; None where there is none.

    A checkpoint is judged by the reading of its own step; one that was saved without a reading by the next reading,
    so that an alarm raised after a reading and before the next checkpoint disqualifies that checkpoint.
    """
    learnt = learnt_steps(readings)
    for step in sorted(saved, reverse=True):
        own = next((r for r in readings if r.step >= step), None)
        if own is not None and own.alarm is None and own.step in learnt:
            return step
    return None
