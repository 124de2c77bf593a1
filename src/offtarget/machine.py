"""What the machine offers, on every operating system."""

from __future__ import annotations

import ctypes
import functools
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores this process may use; where the system does not say, all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sees_gpu() -> bool:
    """Whether NVIDIA's driver shows a GPU, as far as that is seen without loading a tensor library."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def free_memory() -> int | None:
    """Bytes that this process may still take, by the system and by its container; None where neither says."""
    known = [value for value in (_available(), _left_in_container()) if value is not None]
    return min(known, default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_container() -> int | None:
    """What a container's limit leaves; files kept in memory are given up when it is needed."""
    for limit, used, kept in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = int((_CGROUP / limit).read_text())
            now = int((_CGROUP / used).read_text())
            stat = (_CGROUP / limit).parent / "memory.stat"
            files = next((int(line.split()[1]) for line in stat.read_text().splitlines() if line.startswith(kept)), 0)
        except (OSError, ValueError):  # no such limit, or `max`
            continue
        return max(0, most - now + files)
    return None


def give_back_freed_memory() -> None:
    """Have the C library give freed memory back to the system, where it is glibc; elsewhere nothing happens.

    glibc keeps a store of freed memory for each of several threads and rarely gives any of it back: a check whose
    batches are worked on by a few threads held 1.9 GB that way, of 4.3 in all.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # TypeError: Windows has no library of the whole process
        return None
    return found


def multiply_rate() -> float:
    """Multiplications and additions of float32 numbers a second, on all usable cores with the machine to itself.

    By the processor time of the best of a few products of square matrices, about 0.1 s in all: waiting for other
    programs does not count.
    """
    import numpy as np

    side = 768
    matrix = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    best = math.inf
    for _ in range(8):
        began, products, took = time.process_time(), 0, 0.0
        while took <= 0:  # on Windows the time of a process goes on in steps of 16 ms
            matrix @ matrix
            products, took = products + 1, time.process_time() - began
        best = min(best, took / products)
    return usable_cores() * 2 * side**3 / best
