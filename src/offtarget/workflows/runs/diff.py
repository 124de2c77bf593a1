"""What changed since the last candidate: two runs of one verb, held against each other."""

from __future__ import annotations

from pathlib import Path

from offtarget.errors import InputError
from offtarget.pages.runs.diff import RunsDiff, compared
from offtarget.workflows.runs.cards import card
from offtarget.workflows.runs.listing import find_run


def diff_runs(before: str | Path, after: str | Path = "last") -> RunsDiff:
    """What changed from one run to a later one. Raises InputError for no runs, one run twice, and two verbs."""
    paths = find_run(before), find_run(after)
    if paths[0].resolve() == paths[1].resolve():
        raise InputError(f"Both are {paths[0]}. Give the run before, and the later one: offtarget runs diff A B")
    return compared(paths, (card(paths[0]), card(paths[1])))
