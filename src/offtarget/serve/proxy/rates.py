"""How many requests a client has left this minute: buckets that all workers draw from, in a small shared file.

A bucket holds a minute's requests and fills evenly. The file is locked for the few microseconds of a draw; nobody waits
for the lock: a worker that does not get it draws from a bucket of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import struct
import sys
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which runs one worker
    fcntl = None  # type: ignore[assignment]

CLIENTS = 4096
"""Buckets in a file; clients beyond that have one in each worker."""
_BUCKET = struct.Struct("<Qdd")
"""Hash of the client's name, requests left, when that was so (seconds of a clock that all processes share)."""
_TRIES = 100


class Rates:
    """The buckets of all clients."""

    def __init__(self, path: Path | None = None) -> None:
        """Shared with every process that names the same file; by default this process's own."""
        self._own: dict[str, tuple[float, float]] = {}
        self._file = -1
        if path is None or fcntl is None:
            return
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.truncate(path, CLIENTS * _BUCKET.size)
        self._memory = mmap.mmap(self._file, CLIENTS * _BUCKET.size)

    def take(self, name: str, per_minute: int, now: float) -> float:
        """Takes a request out of a client's bucket: 0; or, where there is none, the seconds until there is."""
        if self._locked():
            try:
                place = self._place(name)
                if place is not None:
                    known, left, since = _BUCKET.unpack_from(self._memory, place)
                    left, wait = _draw((left, since) if since else None, per_minute, now)
                    _BUCKET.pack_into(self._memory, place, known, left, now)
                    return wait
            finally:
                self._unlock()
        left, wait = _draw(self._own.get(name), per_minute, now)
        self._own[name] = (left, now)
        return wait

    def close(self) -> None:
        """Give the file back."""
        if self._file >= 0:
            self._memory.close()
            os.close(self._file)
            self._file = -1

    def _locked(self) -> bool:
        if sys.platform != "win32" and self._file >= 0:
            for _ in range(_TRIES):
                with contextlib.suppress(BlockingIOError):
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
        return False

    def _unlock(self) -> None:
        if sys.platform != "win32":
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _place(self, name: str) -> int | None:
        """Where a client's bucket is; made where there is none. None: the file is full."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") | 1
        for step in range(CLIENTS):
            place = (key + step) % CLIENTS * _BUCKET.size
            (found,) = struct.unpack_from("<Q", self._memory, place)
            if found == key:
                return place
            if found == 0:
                _BUCKET.pack_into(self._memory, place, key, 0.0, 0.0)
                return place
        return None


def _draw(before: tuple[float, float] | None, per_minute: int, now: float) -> tuple[float, float]:
    """What is left in a bucket after one request was taken, and the seconds to wait if none could be."""
    most, per_second = float(per_minute), per_minute / 60
    left = most if before is None else min(most, before[0] + max(0.0, now - before[1]) * per_second)
    return (left, (1 - left) / per_second) if left < 1 else (left - 1, 0.0)
