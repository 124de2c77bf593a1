"""How far a verb is: one record and one kind of callback, the same for every verb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verb is with one of the things it does."""

    stage: str
    """What is being done, or with a total of 0 a message."""
    done: int = 0
    total: int | None = 0
    """How much there is to do, by estimate where it is not certain; None where nobody knows."""
    detail: object = None
    """What there is to show besides: the loss of a training step, the evidence of a check, a finished cell."""


OnProgress = Callable[[Progress], None]
"""Called in the thread that called the verb, whenever there is something new."""


def silent(progress: Progress) -> None:
    """Tells nobody."""


def within(on_progress: OnProgress, label: str) -> OnProgress:
    """Tells of a part of the work under the name of the part."""
    return lambda progress: on_progress(replace(progress, stage=f"{label}: {progress.stage}"))


class Count:
    """Counts what is done of one stage and tells it."""

    def __init__(self, on_progress: OnProgress, stage: str, total: int | None, done: int = 0) -> None:
        self._on_progress, self._stage, self._total, self._done = on_progress, stage, total, done

    def add(self, more: int = 1) -> None:
        """So much more is done."""
        self._done += more
        self._on_progress(Progress(self._stage, self._done, self._total))
