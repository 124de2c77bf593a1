"""How far a verb is: one record and one kind of callback, the same for every verb."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
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


def in_words(progress: Progress) -> str:
    """The stage and how far it is: `answers 12 of 60`; a message as it is."""
    if progress.total == 0:
        return progress.stage
    return f"{progress.stage} {progress.done:,}" + (f" of {progress.total:,}" if progress.total else "")


class Count:
    """Counts what is done of one stage and tells it."""

    def __init__(self, on_progress: OnProgress, stage: str, total: int | None, done: int = 0) -> None:
        self._on_progress, self._stage, self._total, self._done = on_progress, stage, total, done

    def add(self, more: int = 1) -> None:
        """So much more is done."""
        self._done += more
        self._on_progress(Progress(self._stage, self._done, self._total))


class Whole:
    """Work in parts of different weight, told in per cent of the whole, so that the time left is that of the whole.

    Beside the share stands, as the detail, what is being done.
    """

    def __init__(self, on_progress: OnProgress, name: str, weights: Mapping[Hashable, float]) -> None:
        """`weights` are those of the parts that are still to be done, in any unit, by key."""
        self._on_progress, self._stage = on_progress, f"per cent of {name}"
        self._weights = dict(weights)
        self._total, self._done, self._told = sum(self._weights.values()), 0.0, 0
        self._tell(0.0, "")

    def part(self, key: Hashable, label: str, stage: str) -> OnProgress:
        """What a part is handed as its own callback; how far it is is said by its stage of that name."""
        weight = self._weights.get(key, 0.0)

        def told(progress: Progress) -> None:
            counts = progress.total and progress.stage.endswith(stage)
            share = min(1.0, progress.done / progress.total) if counts and progress.total else 0.0
            self._tell(weight * share, f"{label}, {in_words(progress)}")

        self._tell(0.0, label)
        return told

    def counting(self, key: str) -> Callable[[int], None]:
        """Takes how much more of a part is done, in the unit of the weights; the part is named by its key."""
        done, weight = 0, self._weights.get(key, 0.0)
        self._tell(0.0, key)

        def more(count: int) -> None:
            nonlocal done
            done += count
            self._tell(min(done, weight), key)

        return more

    def by_stage(self) -> OnProgress:
        """One callback for parts whose keys are the stages they tell; they come in any order, each to its end."""

        def told(progress: Progress) -> None:
            if progress.stage not in self._weights or not progress.total:
                self._tell(0.0, in_words(progress))
            elif progress.done >= progress.total:
                self.finished(progress.stage)
            else:
                self.at({progress.stage: progress.done / progress.total}, in_words(progress))

        return told

    def doing(self, text: str) -> None:
        """What is being done, where nobody knows how far it is."""
        self._tell(0.0, text)

    def at(self, shares: Mapping[Hashable, float], text: str) -> None:
        """How much of each part that is being worked on is done, 0 to 1, and what is being done."""
        self._tell(sum(self._weights.get(key, 0.0) * share for key, share in shares.items()), text)

    def finished(self, key: Hashable) -> None:
        """A part is done; twice is once."""
        self._done += self._weights.pop(key, 0.0)
        self._tell(0.0, "")

    def _tell(self, within: float, doing: str) -> None:
        share = 100 if not self._total else min(100, round(100 * (self._done + within) / self._total))
        self._told = max(self._told, share)  # a part that turns out longer than it seemed does not go back
        self._on_progress(Progress(self._stage, self._told, 100, doing))
