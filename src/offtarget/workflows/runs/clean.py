"""What can be deleted in the runs folder without losing a verdict, a report or an answer; and deleting it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.rundir import MANIFEST, RunDir, in_use, read_manifest, runs_root
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import DEFENCES, REPAIR, REPRODUCE, TUNE, Verb, verb_of

HALF_WRITTEN = ("*.part", "*/*.part")
LEFTOVERS: dict[str, dict[str, str]] = {
    TUNE.command: {"training/checkpoint-*": "checkpoint to go on from", "materials/pilot": "model made for a defence"},
    DEFENCES.command: {
        "cells/*/training": "checkpoints to go on from",
        "cells/*/further": "checkpoints of the further steps",
        "cells/*/further-adapter": "adapter after the further steps",
        "seed-*/materials/pilot": "model made for a defence",
    },
    REPRODUCE.command: {"adapters/*.work": "checkpoints to go on from", "adapters/*-steps": "adapters on the way"},
}
"""By verb, what only a run that goes on needs: nothing of a finished one reads it."""
WEIGHTS: dict[str, dict[str, str]] = {
    DEFENCES.command: {"cells/*/adapter": "trained adapter"},
    REPRODUCE.command: {"adapters/*": "trained adapter"},
    REPAIR.command: {"models/*": "repaired variant"},
}
"""By verb, weights inside of runs that somebody may want to look at again."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something to delete."""

    path: Path
    run: Path
    what: str
    size: int
    """Bytes on the disk."""

    @property
    def whole_run(self) -> bool:
        """Whether it is a run itself, an unfinished one."""
        return self.path == self.run


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What would be deleted, and what is left alone for a reason."""

    root: Path
    items: tuple[Leftover, ...] = ()
    left_alone: tuple[str, ...] = field(default=())
    """A sentence each."""

    @property
    def size(self) -> int:
        """Bytes that deleting it frees."""
        return sum(item.size for item in self.items)


def plan_cleaning(names: Sequence[str | Path] = (), *, weights: bool = False, unfinished: bool = False) -> Cleaning:
    """What can be deleted of these runs, by default of all in the runs folder; nothing is deleted yet.

    Of finished runs: what only going on would need, and with `weights` the models inside of them. With `unfinished`
    also whole runs that have not come to their end. Links are not followed, and a run in use is left alone. Raises
    InputError for a named run that is elsewhere, broken, or in use.
    """
    root = runs_root()
    items: list[Leftover] = []
    alone: list[str] = []
    for path in map(_named, names) if names else _folders(root):
        reason = _reason_to_leave(path)
        if reason is not None:
            if names:
                raise InputError(f"{path} {reason}.")
            alone.append(f"{path.name} {reason}.")
            continue
        verb = verb_of(read_manifest(path))
        if finished(verb, path) is not None:
            items += _leftovers(path, verb, weights=weights)
        elif unfinished and (inner := _run_inside(path)):
            alone.append(f"{path.name} is unfinished, but holds another run, {inner}.")
        elif unfinished:
            items.append(Leftover(path, path, f"unfinished run of `{verb.command}`", size_of(path)))
        else:
            alone.append(f"{path.name} is unfinished, and what it holds is needed to go on.")
    return Cleaning(root, tuple(items), tuple(alone))


def clean(plan: Cleaning) -> int:
    """Delete what a plan lists; the bytes that were freed. What has changed since is left alone."""
    freed = 0
    for run in dict.fromkeys(item.run for item in plan.items):
        if _reason_to_leave(run) is not None:
            continue
        with RunDir.open(run) as directory:
            done = finished(verb_of(read_manifest(run)), run) is not None
            for item in plan.items:
                if item.run != run or item.whole_run == done or not _inside(item.path, run):
                    continue
                if item.whole_run:
                    directory.discard()
                elif item.path.is_dir():
                    shutil.rmtree(item.path)
                else:
                    item.path.unlink()
                freed += item.size
    return freed


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count as what they are."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    inside = (Path(folder) / name for folder, _, files in os.walk(path) for name in files)
    return sum(file.lstat().st_size for file in inside)


def _run_inside(path: Path) -> str:
    """A run that somebody put into this one, by name; those that a verb makes in its own stand deeper."""
    return next((found.parent.name for found in sorted(path.glob(f"*/{MANIFEST}"))), "")


def _named(name: str | Path) -> Path:
    path = find_run(name)
    if path.absolute().parent.resolve() != runs_root().resolve():
        raise InputError(f"{path} is not in {runs_root()}; only runs in the runs folder are cleaned.")
    return path


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _reason_to_leave(path: Path) -> str | None:
    """Why a folder is not touched, as the end of a sentence; None where it may be."""
    if path.is_symlink():
        return "is a link; what it leads to is left alone"
    if not (path / MANIFEST).is_file():
        return f"has no {MANIFEST}, so it is no run of ours"
    if in_use(path):
        return "is in use by another offtarget process"
    try:
        finished(verb_of(read_manifest(path)), path)
    except InputError:
        return "is broken; look at it before you delete it yourself"
    return None


def _leftovers(path: Path, verb: Verb[Any, Any], *, weights: bool) -> Iterator[Leftover]:
    wanted = dict(LEFTOVERS.get(verb.command, {})) | dict.fromkeys(HALF_WRITTEN, "half-written file")
    if weights:
        wanted |= WEIGHTS.get(verb.command, {})
    seen: set[Path] = set()
    for pattern, what in wanted.items():
        for found in sorted(path.glob(pattern)):
            if found not in seen and _inside(found, path):
                seen.add(found)
                yield Leftover(found, path, what, size_of(found))


def _inside(path: Path, run: Path) -> bool:
    """Whether it is still there, no link, and really inside of the run, through no link either."""
    if path.is_symlink() or not path.exists():
        return False
    return path == run or path.resolve() == run.resolve() / path.relative_to(run)
