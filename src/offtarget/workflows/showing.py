"""Progress in scripts and notebooks: `offtarget.check(..., on_progress=offtarget.show_progress())`.

Lines on standard error in a script; in a notebook one line under the cell that is written over, without widgets.
"""

from __future__ import annotations

import math
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
FEW = 20
"""Things to do up to which they are taken to be done one after another, so that the first alone tells the pace."""
AGREE = 3.0
"""Times that the pace with the wait for the first thing may be that without it, for anything to be said."""


class Pace:
    """The time left, from how fast a stage was lately: in the later two thirds of the time it has taken so far.

    Answers are made side by side: for long there is none, then one after the other. While all that is known begins with
    that wait, the pace lies between that with the wait and that without it, and nothing is said until the two are near.
    """

    def __init__(self, first: int) -> None:
        self._steps = deque([(time.monotonic(), first)])
        """When the count changed, and to what: from the last change before those on."""
        self._began = self._steps[0]
        self._counted: tuple[float, int] | None = None
        """The first change."""

    def left(self, progress: Progress) -> str:
        """Words for it; empty while nothing can be said.

        From the moment of the last step on the time counts down: work in large parts is not slower for being in the
        middle of one.
        """
        now = time.monotonic()
        if progress.done != self._steps[-1][1]:
            self._steps.append((now, progress.done))
            self._counted = self._counted or self._steps[-1]
        at, done = self._steps[-1]
        began = self._began[0]
        while len(self._steps) > 2 and self._steps[1][0] - began <= (at - began) / 3:
            self._steps.popleft()
        if not progress.total or done <= self._steps[0][1] or done >= progress.total:
            return ""
        seconds = self._each(progress.total) * (progress.total - done) - (now - at)
        return f"about {duration(seconds)} left" if seconds > 0 else ""

    def _each(self, total: int) -> float:
        """Seconds that one thing takes; 0 where nobody can say yet."""
        (since, before), (at, done) = self._steps[0], self._steps[-1]
        each = (at - since) / (done - before)
        if self._counted is None or self._steps[0] != self._began or total <= FEW:
            return each
        first, counted = self._counted
        without = (at - first) / (done - counted) if done > counted else 0.0
        return math.sqrt(each * without) if each <= AGREE * without else 0.0


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
