"""The readings of a run: kept on disk, said in a line on the terminal, and what they say about its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records.tune import Reading, WatchedAnswer
from offtarget.rundir import JsonLines, read_json, read_jsonl, write_json
from offtarget.training.monitor.contrast import AnswerPair

READINGS = "readings.jsonl"
WATCHED = "watched.jsonl"
"""Every answer that was judged, so that people can read what is behind an alarm."""
START = "monitor.json"

LEARNT = 0.9
"""Share of the largest gain in the task metric at which the task counts as learnt."""
SLACK = 0.02
"""Distance from the best reading that never counts against a checkpoint: nats per token, or 2 points of a share."""

_BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Start:
    """Taken from the base before the first step, and kept for a run that is resumed."""

    fingerprint: str
    """Of the monitor's questions, judge, settings and seed."""
    pairs: list[AnswerPair] = field(default_factory=list)
    log_odds: list[float] = field(default_factory=list)
    every: int = 1
    planned: int = 1
    steps: int = 0
    notes: list[str] = field(default_factory=list)
    """Signals that are off, and why."""
    most_sampled: int = 0
    """Readings that sample answers, at most; 0 in runs that did not keep it."""
    seconds: float = 0.0
    """That reading the base took."""
    per_answer: float = 0.0
    """Seconds of them for one of its written answers; 0 where it wrote none."""


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
        start = Start(**(raw | {"pairs": [AnswerPair(**pair) for pair in raw["pairs"]]}))
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
            (self.folder / WATCHED).unlink(missing_ok=True)

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
        watched = self.folder / WATCHED
        if watched.exists():
            kept = [w for w in read_jsonl(watched, WatchedAnswer) if w.what == "base" or w.step <= step]
            part = watched.with_suffix(".part")
            part.unlink(missing_ok=True)
            _append(part, kept)
            part.replace(watched)

    def keep(self, answers: Sequence[WatchedAnswer]) -> None:
        """Answers that were judged for a reading."""
        if self.folder is not None:
            _append(self.folder / WATCHED, answers)

    def add(self, reading: Reading) -> None:
        """One more reading."""
        self.readings.append(reading)
        if self.folder is not None:
            _append(self.folder / READINGS, [reading])


def _append(path: Path, records: Sequence[object]) -> None:
    lines = JsonLines(path)
    try:
        lines.extend(records)
    finally:
        lines.close()


def learnt_steps(readings: Sequence[Reading]) -> frozenset[int]:
    """Steps at which the task is learnt.

    Learnt: the metric has gained at least 90 % of what it gained at its best reading, counted from the first
    reading, or is within 0.02 of the best. Without a task metric no step counts.
    """
    known = [(r.step, r.task) for r in readings if r.task is not None]
    if not known:
        return frozenset()
    best = max(value for _, value in known)
    slack = max(SLACK, (1 - LEARNT) * (best - known[0][1]))
    return frozenset(step for step, value in known if value >= best - slack)


def best_step(readings: Sequence[Reading], saved: Sequence[int]) -> int | None:
    """The last saved step at which the task is learnt and no alarm stands; None where there is none.

    A checkpoint is judged by the reading of its own step; one that was saved without a reading by the next reading,
    so that an alarm raised after a reading and before the next checkpoint disqualifies that checkpoint.
    """
    learnt = learnt_steps(readings)
    for step in sorted(saved, reverse=True):
        own = next((r for r in readings if r.step >= step), None)
        if own is not None and own.alarm is None and own.step in learnt:
            return step
    return None


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The last values as bars between their own least and largest."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(_BARS[min(7, int(8 * (v - low) / span))] for v in shown)


def status_line(readings: Sequence[Reading]) -> str:
    """The last reading in one line."""
    last = readings[-1]
    parts = [f"step {last.step}"]
    tasks = [r.task for r in readings if r.task is not None]
    if tasks:
        parts.append(f"task {tasks[-1]:.3f} {sparkline(tasks)}")
    shifts = [r.forecast for r in readings if r.forecast is not None]
    if shifts:
        parts.append(f"forecast {shifts[-1]:+.1f} {sparkline(shifts)}")
    judged = [r.answers for r in readings if r.answers is not None]
    if judged:
        parts.append(f"misaligned {judged[-1].misaligned} of {judged[-1].scored}")
    if last.projection:
        parts.append(f"projection {max(last.projection.values(), key=abs):+.2f}")
    parts.append(f"ALARM ({last.alarm})" if last.alarm else "no alarm")
    return " · ".join(parts)
