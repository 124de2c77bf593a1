"""One process of a gateway as its supervisor sees it: started, listened to, started again when it dies, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offtarget.errors import InputError
from offtarget.serve.gateway.line import LONGEST, encoded

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds before a process that died is started again: doubled each time, from the first on after it lived well."""
LIVED_WELL = 30.0
"""Seconds."""
SILENT_SECONDS = 60.0
"""A process that says nothing for so long hangs and is ended."""

Said = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of a process and what it said."""


class Child:
    """A process that runs a module of this package, in one event loop with the others.

    It says `{"ready": true}` when it can work and anything at all at least every few seconds.
    """

    def __init__(
        self,
        name: str,
        module: str,
        start: Mapping[str, Any],
        said: Said,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name, self._module, self._start, self._said = name, module, start, said
        self._descriptors = tuple(descriptors)
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._heard = 0.0
        self._ready = asyncio.Event()
        self._ending = False
        self._task: asyncio.Task[None] | None = None
        self.starts = 0
        self.fault = ""
        """The last error that the process gave as a sentence."""

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return None if self._process is None else self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it works now."""
        return self._ready.is_set()

    def begin(self) -> None:
        """Start it, and start it again whenever it dies."""
        self._task = asyncio.create_task(self._keep())

    async def until_ready(self, seconds: float) -> None:
        """Wait until it works. Raises InputError with its own words where it does not in time, or ends before."""
        ready = asyncio.create_task(self._ready.wait())
        ended = asyncio.create_task(self._first_end())
        try:
            await asyncio.wait({ready, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not self._ready.is_set():
                raise InputError(self.fault or f"The process '{self.name}' was not ready within {seconds:.0f} seconds.")
        finally:
            ready.cancel()
            ended.cancel()

    async def _first_end(self) -> None:
        while self.starts < 2 and not self.fault:
            await asyncio.sleep(0.02)

    def tell(self, **fields: Any) -> None:
        """Say something to it; nothing where it does not run."""
        if self._writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.write(encoded(fields))

    def tell_at_next_start(self, start: Mapping[str, Any]) -> None:
        """What it is started with when it dies."""
        self._start = start

    def kill(self) -> None:
        """End it at once, and start it no more."""
        self._ending = True
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()

    async def end(self, seconds: float, **how: Any) -> None:
        """Ask it to end with what it has, and end it after so many seconds."""
        self._ending = True
        self.tell(do="end", seconds=seconds, **how)
        process = self._process
        if process is not None:
            for ask, patience in ((None, seconds + 2.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
                if ask is not None:
                    with contextlib.suppress(OSError):
                        process.send_signal(ask)
                if await _ended(process, patience):
                    break
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._let_go()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._ending:
            began = time.monotonic()
            await self._run_once()
            if self._is_ending():
                return
            pause = FIRST_PAUSE if time.monotonic() - began > LIVED_WELL else pause
            code = None if self._process is None else self._process.returncode
            self._said(self.name, {"died": code, "again_in": pause, "fault": self.fault})
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _is_ending(self) -> bool:
        return self._ending

    async def _run_once(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if _has_descriptor(sys.stderr) else subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *self._descriptors),
                start_new_session=True,  # Ctrl-C is for the supervisor, who ends it
            )
        except OSError as error:
            ours.close()
            self.fault = f"The process '{self.name}' cannot be started ({error.strerror})."
            self.starts += 1
            return
        finally:
            theirs.close()
        self._heard = time.monotonic()
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=LONGEST)
        self._writer.write(encoded(self._start))
        watch = asyncio.create_task(self._watch(self._process))
        try:
            await self._read(reader)
        finally:
            watch.cancel()
            self._ready.clear()
            self._let_go()
        if not await _ended(self._process, 1.0):
            self._process.kill()
            await _ended(self._process, 5.0)
        self.starts += 1

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await reader.readline()
            except (OSError, ValueError):
                return
            if not line:
                return
            self._heard = time.monotonic()
            try:
                value = json.loads(line)
            except ValueError:
                continue
            self._said(self.name, value)
            if value.get("ready"):
                self.fault = ""
                self._ready.set()
            if isinstance(value.get("fault"), str):
                self.fault = value["fault"]

    async def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self._ready.is_set() and time.monotonic() - self._heard > SILENT_SECONDS:
                process.kill()
                return

    def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.02)
    return True


def _has_descriptor(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
