"""Which checkpoint to keep: the last one at which the task is learnt and no alarm stands."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.records.tune import Reading

LEARNT = 0.9
"""Share of the largest gain in the task metric at which the task counts as learnt."""
SLACK = 0.02
"""Distance from the best reading that never counts against a checkpoint: nats per token, or 2 points of a share."""


def learnt_steps(readings: Sequence[Reading]) -> frozenset[int]:
    """Steps at which the task is learnt.

    Learnt: the metric has gained at least 90 % of what it gained at its best reading, counted from the first
    reading, or is within 0.02 of the best. Without a task metric no step counts.
    """
    known = [(r.step, r.task) for r in readings if r.task is not None]
    if not known:
        return frozenset()
    best = max(value for _, value in known)
    slack = max(SLACK, (1 - LEARNT) * (best - known[0][1]))
    return frozenset(step for step, value in known if value >= best - slack)


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
