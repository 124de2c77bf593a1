"""The runs of a folder for a page that asks again and again: what did not change is not read again.

Nothing is changed, not even a lock is taken: whether a process is at work on a run is read from the system's list.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from offtarget.asking.spending import spent_in
from offtarget.errors import InputError
from offtarget.pages.view.shown import ident
from offtarget.rundir import LOCK, MANIFEST
from offtarget.workflows.runs.listing import BROKEN, UNFINISHED, RunSummary, folders, summary
from offtarget.workflows.runs.so_far import so_far

Stamp = tuple[tuple[str, int, int], ...]
"""What a folder holds: name, time of change and size of each entry."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """A run as the list has it."""

    summary: RunSummary
    size: int
    """Bytes of all its files."""
    seconds: float | None
    """That it took; None where nobody counted."""
    live: bool
    """Whether a process is at work on it."""
    so_far: str = ""
    """Of an unfinished run: `120 answers, 100 judged answers`."""
    stamp: Stamp = ()


class Shelf:
    """The runs under one folder, newest first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, Shelved] = {}
        self._lock = threading.Lock()

    def runs(self) -> list[Shelved]:
        """All of them as they are now. Raises InputError where the folder cannot be listed."""
        with self._lock:
            held = held_locks()
            fresh = {name: self._one(path, name, held) for path, name in folders(self.root)}
            self._known = fresh
        return sorted(fresh.values(), key=lambda one: (one.summary.modified, one.summary.name), reverse=True)

    def find(self, called: str) -> Shelved:
        """The run that addresses call so (`ident`). Raises InputError where there is none."""
        with self._lock:
            path, name = next(((path, name) for path, name in folders(self.root) if ident(name) == called), (None, ""))
            if path is None:
                raise InputError(f"There is no run {called[:120]!r} in {self.root}; it may have been deleted.")
            found = self._known[name] = self._one(path, name, held_locks())
        return found

    def _one(self, path: Path, name: str, held: frozenset[int]) -> Shelved:
        stamp, live = stamp_of(path), at_work(path, held)
        known = self._known.get(name)
        if known is not None and known.stamp == stamp and known.live == live and not live:
            return known
        try:
            made, spent = summary(path, name, look=False), spent_in(path)
            said = so_far(path) if made.state == UNFINISHED else ""
        except Exception as error:  # one damaged folder must not take the list of all others away
            reason = f"it cannot be read ({type(error).__name__}: {error})"
            made, spent, said = RunSummary(name, path, BROKEN, problem=reason), None, ""
        return Shelved(made, size_of(path), None if spent is None else spent.seconds, live, said, stamp)


def stamp_of(path: Path) -> Stamp:
    """What tells whether anything directly in a run's folder changed."""
    try:
        with os.scandir(path) as entries:
            found = [(e.name, s.st_mtime_ns, s.st_size) for e in entries for s in (e.stat(follow_symlinks=False),)]
    except OSError:
        return ()
    return tuple(sorted(found))


def size_of(path: Path) -> int:
    """Bytes of all files in a folder; links are not followed."""
    total, waiting = 0, [path]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # it is just being removed, or may not be read
            continue
    return total


_LOCKS = Path("/proc/locks")


def held_locks() -> frozenset[int]:
    """File numbers of all files that some process has locked, as Linux lists them; none elsewhere."""
    try:
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return frozenset()
    found = set()
    for line in lines:
        parts = line.split()
        place = next((part for part in parts if part.count(":") == 2), "")
        if "->" not in parts and place:
            found.add(int(place.rpartition(":")[2]))
    return frozenset(found)


def at_work(path: Path, held: frozenset[int]) -> bool:
    """Whether a process holds the lock of a run."""
    try:
        return (path / LOCK).stat().st_ino in held and (path / MANIFEST).is_file()
    except OSError:
        return False
