"""What an unfinished run holds already, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from offtarget.numbers import many

LINES = {
    "generations.jsonl": ("answer", "answers"),
    "verdicts.jsonl": ("judged answer", "judged answers"),
    "replies.jsonl": ("answer", "answers"),
    "grades.jsonl": ("graded answer", "graded answers"),
    "points.jsonl": ("point of the curve", "points of the curve"),
    "readings.jsonl": ("reading of the monitor", "readings of the monitor"),
    "cells.jsonl": ("finished cell", "finished cells"),
    "rows-base.jsonl": ("answer to train on", "answers to train on"),
    "findings.jsonl": ("finding", "findings"),
    "search/generations.jsonl": ("answer of the search", "answers of the search"),
}
"""What a line of a growing file is."""


def so_far(path: Path) -> str:
    """`120 answers, 100 judged answers`; `nothing yet`."""
    return ", ".join(_parts(path)) or "nothing yet"


def lines_of(path: Path) -> int:
    """Complete lines of a file; none where there is no file."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _parts(path: Path) -> Iterator[str]:
    for name, (one, more) in LINES.items():
        if count := lines_of(path / name):
            yield many(count, one, more)
    cells = sum(1 for _ in path.glob("cells/*/cell.json"))
    if cells:
        yield many(cells, "finished cell")
    steps = [int(p.parent.name.rpartition("-")[2]) for p in path.glob("training/checkpoint-[0-9]*/complete")]
    if steps:
        yield f"a checkpoint of step {max(steps)}"
    checks = sum(1 for _ in path.glob("checks/*/result.json"))
    if checks:
        yield many(checks, "finished check")
