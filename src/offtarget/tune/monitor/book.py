"""What a monitor has on disk: its readings, and what it compares them with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records.tune import Reading
from offtarget.rundir import JsonLines, read_json, read_jsonl, write_json
from offtarget.tune.monitor.contrast import Pair

READINGS = "readings.jsonl"
START = "monitor.json"


@dataclass
class Start:
    """Taken from the base before the first step, and kept for a run that is resumed."""

    fingerprint: str
    """Of the monitor's questions, judge, settings and seed."""
    pairs: list[Pair] = field(default_factory=list)
    log_odds: list[float] = field(default_factory=list)
    every: int = 1
    planned: int = 1
    steps: int = 0
    notes: list[str] = field(default_factory=list)
    """Signals that are off, and why."""


class Book:
    """Readings in memory and, where there is a folder, on disk as soon as they exist."""

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.readings: list[Reading] = []

    def saved_start(self, fingerprint: str) -> Start | None:
        """What an earlier process of the same run wrote down. InputError when its monitor was another one."""
        if self.folder is None or not (self.folder / START).exists():
            return None
        raw = read_json(self.folder / START)
        start = Start(**(raw | {"pairs": [Pair(**pair) for pair in raw["pairs"]]}))
        if start.fingerprint != fingerprint:
            raise InputError(
                f"{self.folder} holds the readings of a monitor with other questions or settings. Resume with the "
                "same ones, or train into a new folder."
            )
        return start

    def begin(self, start: Start) -> None:
        """Start a new run: earlier readings in the folder are dropped."""
        self.readings = []
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / START, asdict(start))
            (self.folder / READINGS).unlink(missing_ok=True)

    def resume(self, step: int) -> None:
        """Go on after `step`: what was read beyond it belongs to steps that are trained again."""
        if self.folder is None:
            self.readings = [r for r in self.readings if r.step <= step]
            return
        path = self.folder / READINGS
        self.readings = [r for r in read_jsonl(path, Reading) if r.step <= step]
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        _append(part, self.readings)
        part.replace(path)

    def add(self, reading: Reading) -> None:
        """One more reading."""
        self.readings.append(reading)
        if self.folder is not None:
            _append(self.folder / READINGS, [reading])


def _append(path: Path, readings: Sequence[Reading]) -> None:
    lines = JsonLines(path)
    try:
        lines.extend(readings)
    finally:
        lines.close()
