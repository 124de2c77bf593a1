"""Jobs here or on several processes; every finished cell is told of once, with the share of the work that is done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from multiprocessing.synchronize import Event

from offtarget.asking.spending import counted
from offtarget.errors import InputError
from offtarget.progress import OnProgress, Progress, Whole, in_words
from offtarget.records.reproduce import Cell
from offtarget.workflows.reproduce.cells import Job, finished, run_job, said

LOOK_EVERY = 0.3
"""Seconds between two looks for finished cells."""


def run_jobs(jobs: Sequence[Job], processes: int, on_progress: OnProgress, *, one_thread: bool = False) -> None:
    """Run all jobs, in their order; with one process here, else each in a process with one thread of its own.

    With `one_thread` the weights do not depend on `processes`: sums then run in the same order either way.
    """
    if processes == 1:
        with _threads(1) if one_thread else nullcontext():
            for job in jobs:
                run_job(job, on_progress)
        return
    context = multiprocessing.get_context("spawn")  # forked processes inherit torch's locks
    stop = context.Event()
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker, initargs=(stop,))
    waiting = {(job.name, plan.key): (job, plan) for job in jobs for plan in job.cells if finished(job, plan) is None}

    def report() -> None:
        for key, (job, plan) in list(waiting.items()):
            cell = finished(job, plan)
            if cell is not None:
                del waiting[key]
                on_progress(Progress(said(cell), detail=cell))

    futures: set[Future[None]] = set()
    try:
        futures |= {pool.submit(_run_there, job) for job in jobs}
        while futures:
            done, futures = wait(futures, timeout=LOOK_EVERY, return_when=FIRST_EXCEPTION)
            report()
            for future in done:
                future.result()
            on_progress(Progress("trainings finished", len(jobs) - len(futures), len(jobs)))
    except BrokenProcessPool:
        raise InputError(
            "A process of the experiment was ended from outside, perhaps for lack of memory. Finished cells are kept; "
            "repeat the command with --run and --jobs 1. A script of your own that calls reproduce() with several jobs "
            'must do so under `if __name__ == "__main__":`, since every process reads the script again.'
        ) from None
    finally:
        # whatever ends this early must not wait for trainings that nobody will read
        if futures:
            stop.set()
        pool.shutdown(wait=not futures, cancel_futures=True)


def _run_there(job: Job) -> None:
    """A job in a process of its own, whose time is that of the experiment."""
    with counted(job.run, clock=False):
        run_job(job)


def _start_worker(stop: Event) -> None:
    """One thread, no Ctrl-C of its own, and an end with the parent, however that ends."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    parent = multiprocessing.parent_process()

    def watch() -> None:
        while not stop.wait(0.5) and (parent is None or parent.is_alive()):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Work:
    """Tells finished cells, and the share of the whole experiment with the time left."""

    def __init__(self, jobs: Sequence[Job], on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        weights: dict[Hashable, float] = {}
        for job in jobs:
            for number, plan in enumerate(job.cells):
                # as measured on the organism: .3 s per step, 15 s for all columns and the check, 3 s for a point
                training = 0.3 * max(c.step for c in job.cells) if number == 0 else 0.0
                measuring = 15.0 if plan.kind in ("base", "condition") else 3.0
                if finished(job, plan) is None:
                    weights[plan.key] = training + measuring
        self._all, self._cells = len(weights), 0
        self._whole = Whole(on_progress, "the experiment", weights)

    def tell(self, progress: Progress) -> None:
        """A finished cell in a line of its own; else what is being done, beside the share that is behind it."""
        if isinstance(progress.detail, Cell):
            self._cells += 1
            self._on_progress(replace(progress, stage=f"cell {self._cells} of {self._all}: {progress.stage}"))
            self._whole.finished(progress.detail.key)
        else:
            number = min(self._cells + 1, self._all)
            self._whole.doing(f"cell {number} of {self._all}, {in_words(progress)}")
