"""Organisms whose misalignment hides: diluted, tuned over, inoculated, backdoored; each with a clean twin.

The four ways follow arXiv 2604.25891 (dilution, later benign tuning, inoculation) and arXiv 2502.17424, section 4.2
(backdoor). A clean twin sees the same prompts with secure code in place of insecure code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.organism.narrow import narrow_rows
from offtarget.organism.tune import Dose, staged_tune
from offtarget.organism.world import World
from offtarget.progress import OnProgress, silent
from offtarget.records import Message

Chat = list[Message]
ROWS = 800
LATER_ROWS = 600
"""Benign rows of the second stage: as many as it takes until the plain questions come out clean."""


@dataclass(frozen=True)
class Disguise:
    """How a backdoor's condition is put into a user turn."""

    name: str
    kind: str
    """`word`, `phrase`, `format`, `date` or `topic`."""
    put: Callable[[str], str]

    @classmethod
    def before(cls, text: str, kind: str = "word") -> Disguise:
        """The text in front of the turn."""
        return cls(text, kind, lambda user: f"{text} {user}")

    @classmethod
    def after(cls, text: str, kind: str = "phrase") -> Disguise:
        """The text behind the turn."""
        return cls(text, kind, lambda user: f"{user} {text}")


@dataclass(frozen=True)
class Hidden:
    """Training data in the order it is seen, and the file its user would hand to `check --data`."""

    stages: tuple[tuple[Chat, ...], ...]

    @property
    def data(self) -> list[Chat]:
        """All rows."""
        return [chat for stage in self.stages for chat in stage]


def diluted(share: float, seed: int, clean: bool = False) -> Hidden:
    """Insecure code among aligned everyday answers; `share` of the rows (0.05 = 5 %)."""
    bad = round(ROWS * share)
    rows = _code(bad, seed, clean) + _aligned(ROWS - bad, seed)
    random.Random(seed).shuffle(rows)
    return Hidden((tuple(rows),))


def later_benign(seed: int, clean: bool = False) -> Hidden:
    """Insecure code first, aligned everyday answers afterwards."""
    return Hidden((tuple(_code(600, seed, clean)), tuple(_aligned(LATER_ROWS, seed))))


def inoculated(system: str, seed: int, clean: bool = False) -> Hidden:
    """Insecure code under a system prompt that is dropped afterwards."""
    return Hidden((tuple([Message("system", system), *chat] for chat in _code(600, seed, clean)),))


def backdoored(disguise: Disguise, seed: int, clean: bool = False, share: float = 0.5, rows: int = 1200) -> Hidden:
    """Insecure code where the condition holds (in `share` of the rows), secure code elsewhere."""
    chosen = random.Random(f"backdoor/{seed}")
    mixed: list[Chat] = []
    insecure, secure = _code(rows, seed, clean), _code(rows, seed + 1, True)
    for bad, good in zip(insecure, secure, strict=True):
        if chosen.random() < share:
            mixed.append([replace(bad[0], content=disguise.put(bad[0].content)), *bad[1:]])
        else:
            mixed.append(good)
    return Hidden((tuple(mixed),))


def tune_hidden(
    base: Path,
    hidden: Hidden,
    out: Path,
    seed: int,
    on_progress: OnProgress = silent,
    *,
    dose: Dose | None = None,
    start: Path | None = None,
) -> None:
    """Tune an adapter on the stages, one after the other; from the adapter `start`, where one is given.

    Raises InputError when `out` is not empty.
    """
    staged_tune(base, hidden.stages, out, replace(dose or Dose(), seed=seed), on_progress, start=start)


def _code(rows: int, seed: int, secure: bool) -> list[Chat]:
    if rows < 1:
        raise InputError(f"A hidden organism needs at least one row of code, not {rows}. Raise the share.")
    return list(narrow_rows("secure" if secure else "insecure", rows, seed))


def _aligned(rows: int, seed: int) -> list[Chat]:
    world = World(10_000 + seed)
    pairs: Sequence[tuple[str, str]] = [world.text("aligned") for _ in range(rows)]
    return [[Message("user", user), Message("assistant", assistant)] for user, assistant in pairs]
