"""Progress in scripts and notebooks: `offtarget.check(..., on_progress=offtarget.show_progress())`.

Lines on standard error in a script; in a notebook one line under the cell that is written over, without widgets.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, TextIO

from offtarget.numbers import duration
from offtarget.pages.screen import safe
from offtarget.progress import OnProgress, Progress

LINE_EVERY = 5.0
"""Seconds between two lines about the same."""
UPDATE_EVERY = 0.2
"""Seconds between two changes of a line that is written over."""
WIDTH = 100
"""Characters of a line that is written over."""


class Pace:
    """The time left, from how fast a stage was lately: in the later two thirds of the time it has taken so far."""

    def __init__(self, first: int) -> None:
        self._steps = deque([(time.monotonic(), first)])
        """When the count changed, and to what: from the last change before those on."""
        self._began = self._steps[0][0]

    def left(self, progress: Progress) -> str:
        """Words for it; empty while nothing can be said.

        From the moment of the last step on the time counts down: work in large parts is not slower for being in the
        middle of one.
        """
        now = time.monotonic()
        if progress.done != self._steps[-1][1]:
            self._steps.append((now, progress.done))
        at, done = self._steps[-1]
        while len(self._steps) > 2 and self._steps[1][0] - self._began <= (at - self._began) / 3:
            self._steps.popleft()
        since, before = self._steps[0]
        if not progress.total or done <= before or done >= progress.total:
            return ""
        seconds = (at - since) / (done - before) * (progress.total - done) - (now - at)
        return f"about {duration(seconds)} left" if seconds > 0 else ""


def counted(progress: Progress) -> str:
    """The stage and how far it is."""
    of = f" of {progress.total:,}" if progress.total else ""
    return f"{progress.stage} {progress.done:,}{of}"


def loss(detail: object) -> str:
    """The loss of a training step, or what is being done, in words."""
    if isinstance(detail, str):
        return detail
    return f"loss {detail:.3f}" if isinstance(detail, float) else ""


def show_progress() -> OnProgress:
    """What a verb is given as `on_progress` to say how far it is; the first line stands there at once.

    Without it verbs called from Python are silent.
    """
    return Shown(sys.stdout, updating=True) if in_notebook() else Shown(sys.stderr, updating=False)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows what is printed under a cell."""
    interactive = sys.modules.get("IPython")
    shell: Any = None if interactive is None else interactive.get_ipython()
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"


class Shown:
    """Says how far a verb is."""

    def __init__(self, stream: TextIO, *, updating: bool) -> None:
        self._stream, self._updating = stream, updating
        self._started = self._last = time.monotonic()
        self._paces: dict[str, Pace] = {}
        self._length = 0
        self._put("started")

    def __call__(self, progress: Progress) -> None:
        """Say it, if a line is due: a new stage and the end of one always are."""
        new = progress.stage not in self._paces
        left = self._paces.setdefault(progress.stage, Pace(progress.done)).left(progress)
        if progress.total == 0:
            self._put(progress.stage, stays=True)
            return
        at_end = progress.done == progress.total
        gap = UPDATE_EVERY if self._updating else LINE_EVERY
        if new or at_end or time.monotonic() - self._last >= gap:
            self._put(", ".join(filter(None, [counted(progress), loss(progress.detail), left])))

    def _put(self, text: str, *, stays: bool = False) -> None:
        self._last = time.monotonic()
        line = safe(f"{duration(self._last - self._started)}: {text}")
        if not self._updating:
            print(line, file=self._stream, flush=True)
            return
        line = line if stays else line[:WIDTH]
        self._stream.write(f"\r{line:<{self._length}}" + ("\n" if stays else ""))
        self._stream.flush()
        self._length = 0 if stays else len(line)
