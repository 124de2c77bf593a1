"""What a unit of work and those who wait for it know of each other: how far it is, and how it ended."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

Tell = Callable[[float, str], None]
"""Takes the share of a unit that is done, 0 to 1, and what is being done."""
TELL_EVERY = 0.5
"""Seconds between two notes on how far a unit is."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """A unit that has come to its end: with a value, with an error, or lost."""

    unit: str
    value: T | None = None
    error: Exception | None = None
    """What it raised."""
    lost: str | None = None
    """Why nobody could do it to its end, one sentence: every worker that tried ended on the way."""


class Note:
    """How far one unit is, in a file that is replaced as a whole; whoever waits reads it, wherever it is written.

    Nobody depends on it: what cannot be written or read is passed over.
    """

    def __init__(self, folder: Path, unit: str) -> None:
        self._path, self._last = folder / f"{unit}.json", -TELL_EVERY

    def tell(self, share: float, said: str) -> None:
        """Write it down, where the last time is long enough ago."""
        now = time.monotonic()
        if now - self._last < TELL_EVERY:
            return
        self._last = now
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(exist_ok=True)
            part.write_text(json.dumps([share, said]), encoding="ascii")
            part.replace(self._path)
        except OSError:
            return

    def read(self) -> tuple[float, str] | None:
        """The share and what is being done; None where nothing is known."""
        try:
            share, said = json.loads(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError, TypeError):
            return None
        return float(share), str(said)

    def remove(self) -> None:
        """It has ended."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return


def sendable(error: Exception) -> Exception:
    """The error itself where it reaches another process as it is, else one with its kind and its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - of our own making
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
