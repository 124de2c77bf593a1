"""What a running experiment shows: finished cells, and the share of the work that is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from offtarget.progress import OnProgress, Progress
from offtarget.records.reproduce import Cell
from offtarget.workflows.reproduce.cells import Job, finished


class Work:
    """Counts work, so that the time left can be shown."""

    def __init__(self, jobs: Sequence[Job], on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._seconds: dict[str, float] = {}
        for job in jobs:
            for number, plan in enumerate(job.cells):
                # as measured on the organism: .3 s per step, 15 s for all columns and the check, 3 s for a point
                training = 0.3 * max(c.step for c in job.cells) if number == 0 else 0.0
                measuring = 15.0 if plan.kind in ("base", "condition") else 3.0
                if finished(job, plan) is None:
                    self._seconds[plan.key] = training + measuring
        self._total, self._done, self._cells = sum(self._seconds.values()), 0.0, 0
        self._tell_share()

    def tell(self, progress: Progress) -> None:
        """Finished cells get a number, and the share of the work behind them."""
        if not isinstance(progress.detail, Cell):
            self._on_progress(progress)
            return
        self._done += self._seconds.pop(progress.detail.key, 0.0)
        self._cells += 1
        self._on_progress(replace(progress, stage=f"{self._cells}: {progress.stage}"))
        self._tell_share()

    def _tell_share(self) -> None:
        share = round(100 * self._done / self._total) if self._total else 100
        self._on_progress(Progress("per cent of the experiment", share, 100))
