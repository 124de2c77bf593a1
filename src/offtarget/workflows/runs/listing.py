"""What ran and what it decided: the run directories under one folder, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.rundir import MANIFEST, read_manifest, read_object, runs_root
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.so_far import lines_of
from offtarget.workflows.runs.verbs import AUDIT, CHECK, COMPARE, SCAN, Verb, verb_of

LAST = "last"
"""Names the newest run."""
UNFINISHED, BROKEN = "UNFINISHED", "BROKEN"
"""States of a run that came to no result, or whose records cannot be read."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of the list of runs; what the folder does not say is None."""

    name: str
    path: Path
    state: str
    """PASS, FAIL or UNDECIDED; OK or ALARM of a training; DONE where no verdict is due; UNFINISHED or BROKEN."""
    verb: str | None = None
    """As typed after `offtarget`."""
    base: str | None = None
    tuned: str | None = None
    answers: int | None = None
    """Complete answers on disk, both models together."""
    created: str | None = None
    problem: str | None = None
    """Why it is broken."""
    resume: str | None = None
    """The command that goes on with an unfinished run."""
    obstacle: str | None = None
    """Why an unfinished run cannot go on, and what to do instead."""
    data: str | None = None
    """What was audited."""
    rows: int | None = None
    """Rows of the audited data, once they are scanned."""


def runs(root: str | Path | None = None) -> list[RunSummary]:
    """All run directories under `root` (default `runs_root()`), newest first, broken ones too."""
    folder = runs_root() if root is None else Path(root)
    if not folder.exists():
        return []
    try:
        paths = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"Cannot list {folder}: {error.strerror}. Name a folder of runs with OFFTARGET_RUNS."
        ) from None
    found = [_summary(path) for path in paths]
    return [summary for _, summary in sorted(found, key=lambda item: item[0], reverse=True)]


def find_run(
    run: str | Path, root: Path | None = None, verb: Verb[Any, Any] | None = None, *, unfinished: bool = False
) -> Path:
    """The folder of a run given by path, by name under the runs folder, or as `last` (of the verb); else InputError.

    With `unfinished` the last one is the newest that has not come to its end.
    """
    path = Path(run)
    folder = runs_root() if root is None else Path(root)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"There is no run {str(run)[:80]!r}: {reason}. `offtarget runs` lists them.") from None
    if is_folder:
        return path
    if exists:
        raise InputError(f"{path} is a file; name the run directory that holds it.")
    if str(run) == LAST:
        wanted = None if verb is None else verb.command
        known = [s for s in runs(folder) if s.state != BROKEN and wanted in (None, s.verb)]
        if unfinished and known and all(s.state != UNFINISHED for s in known):
            raise InputError(f"No run in {folder} is unfinished. `offtarget runs` lists them.")
        newest = next((s.path for s in known if s.state == UNFINISHED or not unfinished), None)
        if newest is None:
            which = "run" if wanted is None else f"run of `{wanted}`"
            raise InputError(f"There is no {which} in {folder} yet. `offtarget {wanted or 'check'}` makes one.")
        return newest
    # Only a plain name: `folder / "../elsewhere"` would be a path outside the folder.
    if path.name == str(run) and (folder / path).is_dir():
        return folder / path
    raise InputError(f"There is no run '{run}', neither as a path nor in {folder}. `offtarget runs` lists them.")


def _summary(path: Path) -> tuple[tuple[float, str], RunSummary]:
    when = _modified(path / MANIFEST) or _modified(path)
    try:
        if not (path / MANIFEST).is_file():
            raise InputError(f"it has no {MANIFEST}: it was stopped before it began, or is no run")
        summary = _read(path)
    except (InputError, OSError, RecursionError) as error:
        summary = RunSummary(path.name, path, BROKEN, problem=str(error))
    return (when, path.name), summary


def _read(path: Path) -> RunSummary:
    manifest = read_manifest(path)
    verb = verb_of(manifest)
    result = finished(verb, path)
    obstacle = None if result is not None else verb.obstacle(path, manifest)
    return RunSummary(
        path.name,
        path,
        UNFINISHED if result is None else verb.state(result),
        verb.command,
        manifest.base_name,
        manifest.tuned_name,
        lines_of(path / "generations.jsonl") if verb in (CHECK, COMPARE) else None,
        manifest.created or None,
        resume=manifest.resume_command(path) if result is None and obstacle is None else None,
        obstacle=obstacle,
        data=manifest.data_name,
        rows=_rows(path) if verb is AUDIT else None,
    )


def _rows(path: Path) -> int | None:
    rows = read_object(path / SCAN).get("rows") if (path / SCAN).exists() else None
    return rows if isinstance(rows, int) else None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
