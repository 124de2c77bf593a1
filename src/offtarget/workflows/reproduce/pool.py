"""Jobs here or on several processes; every finished cell is told of once, with the share of the work that is done."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event

from offtarget.asking.spending import counted
from offtarget.errors import InputError
from offtarget.progress import OnProgress, Progress, Whole, in_words
from offtarget.records.reproduce import Cell
from offtarget.workflows.reproduce.cells import Job, finished, run_job, said

LOOK_EVERY = 0.3
"""Seconds between two looks for finished cells."""
PER_STEP, PER_CELL, PER_POINT = 0.3, 15.0, 3.0
"""Seconds for a training step, for all columns and the check of a model, and for a point of a curve, as measured on the
organism: what the parts of the experiment weigh."""
MEASURED = 0.7
"""Of measuring a model with a check, the share that is done when the answers of its columns are there."""


@dataclass(frozen=True, slots=True)
class Running:
    """What several processes are at: the share of each cell that is done, by key."""

    shares: Mapping[Hashable, float]


def run_jobs(jobs: Sequence[Job], processes: int, on_progress: OnProgress, *, one_thread: bool = False) -> None:
    """Run all jobs, in their order; with one process here, else each in a process with one thread of its own.

    With `one_thread` the weights do not depend on `processes`: sums then run in the same order either way.
    """
    if processes == 1:
        with _threads(1) if one_thread else nullcontext():
            for job in jobs:
                run_job(job, Along(job, on_progress).take)
        return
    context = multiprocessing.get_context("spawn")  # forked processes inherit torch's locks
    stop = context.Event()
    # plain shared memory, which a process that is ended cannot leave locked
    shares = context.RawArray(ctypes.c_double, max(1, len(jobs)))
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker, initargs=(stop, shares))
    waiting = {(job.name, plan.key): (job, plan) for job in jobs for plan in job.cells if finished(job, plan) is None}

    def report() -> None:
        for key, (job, plan) in list(waiting.items()):
            cell = finished(job, plan)
            if cell is not None:
                del waiting[key]
                on_progress(Progress(said(cell), detail=cell))

    trainings: set[Future[None]] = set()
    futures: set[Future[None]] = set()
    try:
        for number, job in enumerate(jobs):
            future = pool.submit(_run_there, job, number)
            futures.add(future)
            if job.rows:
                trainings.add(future)
        while futures:
            done, futures = wait(futures, timeout=LOOK_EVERY, return_when=FIRST_EXCEPTION)
            report()
            for future in done:
                future.result()
            running = Running(dict(_told(job, shares[number]) for number, job in enumerate(jobs) if job.cells))
            at = Progress("trainings finished", len(trainings - futures), len(trainings), running)
            on_progress(at if trainings else replace(at, stage="measuring the base"))
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


class Along:
    """How far a job is with the cell it is at; what it tells goes on with that share as its detail."""

    def __init__(self, job: Job, on_progress: OnProgress) -> None:
        self._job, self._on_progress = job, on_progress
        self._left = [number for number, plan in enumerate(job.cells) if finished(job, plan) is None]
        self._share = 0.0

    @property
    def number(self) -> float:
        """The number of the cell in the job, and after the point the share of it that is done."""
        return self._left[0] + min(self._share, 0.99) if self._left else 0.0

    def take(self, progress: Progress) -> None:
        """Something new of this job."""
        if isinstance(progress.detail, Cell):
            self._left, self._share = self._left[1:], 0.0
            self._on_progress(progress)
        elif self._left:
            self._share = max(self._share, self._at(progress))
            key = self._job.cells[self._left[0]].key
            self._on_progress(replace(progress, detail=Running({key: self._share})))

    def _at(self, progress: Progress) -> float:
        """Training, then answers, then the check, which nobody knows the length of."""
        training, measuring = _seconds(self._job, self._left[0])
        of_answers = MEASURED if self._job.cells[self._left[0]].kind == "condition" else 1.0
        share = progress.done / progress.total if progress.total else 0.0
        stage = progress.stage.rpartition(": ")[2]
        if stage == "training":
            seconds = share * training
        elif stage in ("answers", "judging", "check"):
            seconds = training + measuring * of_answers * (share if stage == "answers" else 1.0)
        else:
            seconds = 0.0
        return seconds / (training + measuring)


def _seconds(job: Job, number: int) -> tuple[float, float]:
    """What the training and the measuring of a cell weigh; the first cell of a job is the one that trains."""
    training = PER_STEP * max(c.step for c in job.cells) if number == 0 else 0.0
    return training, PER_CELL if job.cells[number].kind in ("base", "condition") else PER_POINT


def _told(job: Job, number: float) -> tuple[Hashable, float]:
    """The key of the cell that a process is at, and its share."""
    return job.cells[int(number)].key, number % 1


_shares: ctypes.Array[ctypes.c_double]
"""In a process of the pool: where it writes how far each job is."""


def _run_there(job: Job, number: int) -> None:
    """A job in a process of its own, whose time is that of the experiment."""

    def tell(_: Progress) -> None:
        _shares[number] = along.number

    along = Along(job, tell)
    with counted(job.run, clock=False):
        run_job(job, along.take)


def _start_worker(stop: Event, shares: ctypes.Array[ctypes.c_double]) -> None:
    """One thread, no Ctrl-C of its own, and an end with the parent, however that ends."""
    global _shares
    _shares = shares
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
                if finished(job, plan) is None:
                    weights[plan.key] = sum(_seconds(job, number))
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
            shares = progress.detail.shares if isinstance(progress.detail, Running) else {}
            self._whole.at(shares, f"cell {number} of {self._all}, {in_words(progress)}")
