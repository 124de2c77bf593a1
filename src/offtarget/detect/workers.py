"""Processes that scan chunks side by side, and the exchange with them.

A worker is a plain child process that speaks pickles over its standard input and output. Unlike a process pool it
needs neither a fork (unsafe beside the threads of a progress bar) nor an importable `__main__`, so that `audit` can be
called from any script or notebook. It ends by itself when its input ends, also when the parent was killed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

from offtarget.data.training import Chunk
from offtarget.detect.chunk_scan import ChunkScan, ChunkScanner, Gathered
from offtarget.detect.detector import RowDetector
from offtarget.detect.known_rows import Opened
from offtarget.errors import InputError, OfftargetError

_LENGTH = struct.Struct("<Q")
_START = "import sys; sys.path[:] = {path!r}; from offtarget.detect.workers import work; work({seed!r})"
_COLLECT = "collect"
KILLED = 9
"""The signal that cannot be caught, by which a system out of memory ends a process."""


class LocalWorker:
    """Scans in this process; for small data sets, where starting processes would take longer than the scan."""

    def __init__(self, seed: str, extra: Sequence[RowDetector] = (), opened: Opened | None = None) -> None:
        self._scanner = ChunkScanner(seed, extra, opened)

    def submit(self, chunk: Chunk, cutoff: bytes, flagged_cutoff: bytes) -> Future[ChunkScan]:
        """Scan a chunk at once."""
        done: Future[ChunkScan] = Future()
        done.set_result(self._scanner.scan(chunk, cutoff, flagged_cutoff))
        return done

    def collect(self) -> Gathered:
        """The state that stayed here."""
        return self._scanner.collect()

    def close(self) -> None:
        """Nothing to end."""


class ProcessWorker:
    """Scans in a child process; a thread of its own waits for the answers, so that several work at once."""

    def __init__(self, seed: str, extra: Sequence[RowDetector] = (), opened: Opened | None = None) -> None:
        command = _START.format(path=sys.path, seed=seed)
        # One numerical thread per worker: several would fight over the same cores.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._exchange, (tuple(extra), opened))

    def submit(self, chunk: Chunk, cutoff: bytes, flagged_cutoff: bytes) -> Future[ChunkScan]:
        """Scan a chunk in the child; chunks of one worker are scanned in the order they come."""
        return self._thread.submit(self._exchange, (chunk, cutoff, flagged_cutoff))

    def collect(self) -> Gathered:
        """The state that stayed in the child."""
        gathered = self._thread.submit(self._exchange, _COLLECT).result()
        assert isinstance(gathered, Gathered)
        return gathered

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self._process.kill()
        self._thread.shutdown(cancel_futures=True)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what a child that is gone was still to be sent
                    pipe.close()
        self._process.wait()

    def _exchange(self, request: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            _send(stdin, request)
            reply = _receive(stdout)
        except (EOFError, BrokenPipeError):
            raise _ended(self._process.wait()) from None
        if isinstance(reply, BaseException):
            raise reply
        return reply


def _ended(code: int) -> Exception:
    """A child that was killed is no fault of ours, one that ended otherwise is."""
    if code >= 0:
        return RuntimeError(f"A scanning process ended by itself with code {code}.")
    why = " The system may have been out of memory: try --workers 1." if -code == KILLED else ""
    return InputError(
        f"A scanning process was ended from outside (signal {-code}), so there is no verdict.{why} "
        "Start the audit again."
    )


def work(seed: str) -> None:
    """What a child process does: scan chunk after chunk until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a stray print of a library must not garble the exchange
    with contextlib.suppress(EOFError, BrokenPipeError):
        scanner = ChunkScanner(seed, *_receive(stdin))
        # rows that wait to be read are many objects and no cycles: looking through them again and again took a third
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
        _send(stdout, None)
        while True:
            request = _receive(stdin)
            _send(stdout, scanner.collect() if request == _COLLECT else _scan(scanner, *request))


def _scan(scanner: ChunkScanner, chunk: Chunk, cutoff: bytes, flagged_cutoff: bytes) -> object:
    try:
        return scanner.scan(chunk, cutoff, flagged_cutoff)
    except OfftargetError as error:
        return error
    except Exception as error:
        import traceback

        return RuntimeError(f"A scanning process failed: {error!r}\n{traceback.format_exc()}")


def _send(stream: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (size,) = _LENGTH.unpack(head)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - from our own child or parent
