"""Progress on standard error: bars on a terminal, a line now and then elsewhere, with the time left in either."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from offtarget.cli.render import safe
from offtarget.numbers import duration
from offtarget.progress import OnProgress, Progress, in_words, silent
from offtarget.workflows.showing import Pace, counted, loss

__all__ = ["Pace", "counted", "loss"]
"""From `workflows.showing`, which shows progress in scripts and notebooks."""

LINE_EVERY = 5.0
"""Seconds between two lines of one stage where there is no terminal; a new stage waits for `QUIET` only."""
QUIET = 2.0
SILENCE = 10.0
"""Seconds without a line after which what is being done is said again, for whoever wonders whether it still goes on."""
BARS = 4
"""Bars on the screen at the same time; the oldest go."""

Beside = Callable[[object], str]
"""What to show of a progress' detail; an empty string for nothing."""


@contextmanager
def shown(*, enabled: bool, beside: Beside = loss) -> Iterator[OnProgress]:
    """What a verb is handed as `on_progress`; disabled, it shows nothing."""
    if not enabled:
        yield silent
    elif not lively():
        lines = Lines(beside)
        with _every_second(lines.still):
            yield lines.tell
    else:
        with _bars() as bars:
            started = _Bars(bars, beside)
            started.tell(Progress("at work", 0, None))
            yield started.tell


def lively() -> bool:
    """Whether lines can be written over on standard error; a dumb terminal gets lines as a log does."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


@contextmanager
def _every_second(call: Callable[[], None]) -> Iterator[None]:
    """Calls it meanwhile, from a thread of its own."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            call()

    thread = threading.Thread(target=watch, name="offtarget-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Lines:
    """Progress as lines, for logs; a verb that is quickly done prints none but its messages."""

    def __init__(self, beside: Beside = loss) -> None:
        self._beside = beside
        self._started = self._shown = time.monotonic()
        self._paces: dict[str, Pace] = {}
        self._at: tuple[float, str] | None = None
        self._lock = threading.Lock()

    def tell(self, progress: Progress) -> None:
        """A line, if one is due."""
        with self._lock:
            doing = ", ".join(filter(None, [in_words(progress), self._beside(progress.detail)]))
            self._at = time.monotonic(), doing
            self._tell(progress)

    def still(self) -> None:
        """A line where there was none for long: what was last told, and how long ago that was."""
        with self._lock:
            now = time.monotonic()
            if self._at is not None and now - self._shown >= SILENCE:
                since, doing = self._at
                self._print(f"still at it, for {duration(now - since)}: {doing}")

    def _tell(self, progress: Progress) -> None:
        new = progress.stage not in self._paces
        left = self._paces.setdefault(progress.stage, Pace(progress.done)).left(progress)
        if progress.total == 0:
            self._print(progress.stage)
        elif time.monotonic() - self._shown >= (QUIET if new or progress.done == progress.total else LINE_EVERY):
            self._print(", ".join(filter(None, [counted(progress), self._beside(progress.detail), left])))

    def _print(self, text: str) -> None:
        self._shown = time.monotonic()
        print(safe(f"{duration(self._shown - self._started)}: {text}"), file=sys.stderr, flush=True)


class _Bars:
    """A bar for each stage; a message is a line that stays."""

    def __init__(self, bars: Any, beside: Beside) -> None:
        self._bars, self._beside = bars, beside
        self._tasks: dict[str, tuple[Any, Pace]] = {}

    def tell(self, progress: Progress) -> None:
        """Move the bar."""
        if progress.total == 0:
            self._bars.console.print(safe(progress.stage), markup=False, highlight=False, soft_wrap=True)
            return
        if progress.stage not in self._tasks:
            while len(self._tasks) >= BARS:
                self._bars.remove_task(self._tasks.pop(next(iter(self._tasks)))[0])
            task = self._bars.add_task(safe(progress.stage), total=None, text="")
            self._tasks[progress.stage] = task, Pace(progress.done)
        task, pace = self._tasks[progress.stage]
        number = counted(progress).removeprefix(progress.stage).strip()
        text = ", ".join(filter(None, [number, self._beside(progress.detail), pace.left(progress)]))
        self._bars.update(task, completed=progress.done, total=progress.total, text=text)


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Rich

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),  # it goes on by itself, so that a long pause does not look like a standstill
        TextColumn("{task.fields[text]}", markup=False),
    )
    return Rich(*columns, console=Console(stderr=True), transient=True)
