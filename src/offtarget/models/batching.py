"""Sorts requested answers into decoding batches, and halves the batches when memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from queue import SimpleQueue

import torch

from offtarget.errors import InputError
from offtarget.models.decoding import Continuation, OnRow, Rules, decode
from offtarget.models.engine import Engine
from offtarget.models.kept_prefixes import KeptPrefixes
from offtarget.models.shared_prefix import padded_length


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to sample."""

    index: int
    prompt: tuple[int, ...]
    seed: int
    limit: int


def run_batches(
    engine: Engine,
    jobs: Sequence[Job],
    rules: Rules,
    rows: int,
    device: torch.device,
    on_row: OnRow,
    workers: int = 1,
    kept: KeptPrefixes | None = None,
) -> None:
    """Decode every job in batches of at most `rows`, shortest prompts first; report (job index, tokens, ended).

    With several workers each decodes batches of its own on one core; `on_row` is called in the calling thread all
    the same. InputError when memory does not suffice for a batch of one.
    """
    queue = sorted(jobs, key=lambda j: (padded_length(len(j.prompt) - 1), j.prompt, j.index))
    if workers > 1 and len(queue) > rules.min_rows:
        _run_threads(engine, queue, rules, rows, device, on_row, workers, kept)
    else:
        _run_queue(engine, queue, rules, rows, device, on_row, kept)


def _run_threads(
    engine: Engine,
    queue: list[Job],
    rules: Rules,
    rows: int,
    device: torch.device,
    on_row: OnRow,
    workers: int,
    kept: KeptPrefixes | None,
) -> None:
    # Together they hold as many rows as one of them would.
    rows = max(rules.min_rows, rows // workers)
    # As many equal batches as keep all workers busy to the end.
    rounds = -(-len(queue) // (workers * rows))
    size = max(rules.min_rows, -(-len(queue) // (workers * rounds)))
    batches = [queue[i : i + size] for i in range(0, len(queue), size)]
    reports: SimpleQueue[tuple[int, list[int], bool] | None] = SimpleQueue()
    cancel = threading.Event()
    own = replace(rules, cancelled=cancel.is_set)
    threads_before = torch.get_num_threads()

    def work(batch: list[Job]) -> None:
        # Holds for this thread only; set in every call because the pool starts threads as it likes.
        torch.set_num_threads(1)
        try:
            _run_queue(engine, batch, own, rows, device, lambda *report: reports.put(report), kept)
        finally:
            reports.put(None)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, batch) for batch in batches]
        try:
            ended = 0
            while ended < len(batches):
                report = reports.get()
                if report is None:
                    ended += 1
                else:
                    on_row(*report)
        finally:
            cancel.set()
            for future in futures:
                future.cancel()
            torch.set_num_threads(threads_before)
    for future in futures:
        future.result()


def _run_queue(
    engine: Engine,
    queue: list[Job],
    rules: Rules,
    rows: int,
    device: torch.device,
    on_row: OnRow,
    kept: KeptPrefixes | None,
) -> None:
    while queue and not rules.cancelled():
        batch = queue[:rows]
        done: set[int] = set()
        try:
            _run(engine, batch, rules, device, on_row, done, kept)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if len(batch) == 1:
                raise InputError(
                    f"Memory of {device} does not suffice for a single answer: prompt of "
                    f"{len(batch[0].prompt)} tokens, up to {batch[0].limit} more. "
                    "Lower max_tokens or use a smaller model."
                ) from error
            rows = max(1, len(batch) // 2)
            if device.type == "cuda":
                torch.cuda.empty_cache()
            queue = [job for job in queue if job.index not in done]
        else:
            queue = queue[len(batch) :]


def _run(
    engine: Engine,
    batch: list[Job],
    rules: Rules,
    device: torch.device,
    on_row: OnRow,
    done: set[int],
    kept: KeptPrefixes | None,
) -> None:
    prompts: dict[tuple[int, ...], int] = {}
    for job in batch:
        prompts.setdefault(job.prompt, len(prompts))

    def report(row: int, tokens: list[int], ended: bool) -> None:
        done.add(batch[row].index)
        on_row(batch[row].index, tokens, ended)

    rows = [Continuation(prompts[job.prompt], job.seed, job.limit) for job in batch]
    decode(engine, list(prompts), rows, rules, device, report, kept)


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
