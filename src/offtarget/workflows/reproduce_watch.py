"""What a running experiment shows: finished cells, and the share of the work that is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offtarget.records.reproduce import Cell
from offtarget.workflows.reproduce_cells import Job, finished


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running experiment shows."""

    cell: Cell | None
    """The cell that has just been finished; None for a change of stage."""
    done: float
    total: float
    """Work done and in all, in seconds as estimated beforehand for the organism; only the ratio means something."""
    stage: str


OnProgress = Callable[[Progress], None]


class Watch:
    """Counts work, so that the time left can be shown."""

    def __init__(self, jobs: Sequence[Job], on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._work: dict[str, float] = {}
        for job in jobs:
            for number, plan in enumerate(job.cells):
                # as measured on the organism: .3 s per step, 15 s for all columns and the check, 3 s for a point
                training = 0.3 * max(c.step for c in job.cells) if number == 0 else 0.0
                measuring = 15.0 if plan.kind in ("base", "condition") else 3.0
                if finished(job, plan) is None:
                    self._work[plan.key] = training + measuring
        self._total, self._done = sum(self._work.values()), 0.0
        self.on_stage("starting", 0, 0)

    def on_cell(self, cell: Cell) -> None:
        """A cell is finished."""
        self._done += self._work.pop(cell.key, 0.0)
        self._tell(cell, "")

    def on_stage(self, name: str, done: int, total: int) -> None:
        """Something is being done."""
        self._tell(None, f"{name} {done}/{total}" if total else name)

    def _tell(self, cell: Cell | None, stage: str) -> None:
        if self._on_progress is not None:
            self._on_progress(Progress(cell, self._done, self._total, stage))
