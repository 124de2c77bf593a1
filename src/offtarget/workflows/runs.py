"""What ran and what it decided: the run directories under one folder, newest first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.rundir import read_json, runs_root

LAST = "last"
"""Names the newest run that ends in a verdict."""
OWN_PAGE = {"steer": "dose", "repair": "repair", "alternatives": "alternatives", "reproduce": "reproduce"}
"""Verbs whose runs write a page of their own, `NAME.html` beside `NAME.json`, when they are done."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of the list of runs; what the folder does not say is None."""

    name: str
    path: Path
    state: str
    """`PASS`, `FAIL`, `UNDECIDED`, `done` (no verdict is due), `unfinished` or `broken`."""
    verb: str | None = None
    base: str | None = None
    tuned: str | None = None
    answers: int | None = None
    """Complete answers on disk, both models together."""
    created: str | None = None
    problem: str | None = None
    """Why it is broken."""
    resume: str | None = None
    """The command that goes on with an unfinished run."""
    data: str | None = None
    """What was audited."""
    rows: int | None = None
    """Rows of the audited data, once they are scanned."""


def runs(root: Path | None = None) -> list[RunSummary]:
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


def find_run(run: str | Path, root: Path | None = None) -> Path:
    """The folder of a run given by path, by name under the runs folder, or as `last`; else InputError."""
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
        newest = next((s.path for s in runs(folder) if s.state != "broken" and s.verb not in OWN_PAGE), None)
        if newest is None:
            raise InputError(f"There is no run in {folder} yet. `offtarget check`, `compare` or `audit` makes one.")
        return newest
    # Only a plain name: `folder / "../elsewhere"` would be a path outside the folder.
    if path.name == str(run) and (folder / path).is_dir():
        return folder / path
    raise InputError(f"There is no run '{run}', neither as a path nor in {folder}. `offtarget runs` lists them.")


def _summary(path: Path) -> tuple[tuple[float, str], RunSummary]:
    when = _modified(path / "run.json") or _modified(path)
    try:
        if not (path / "run.json").is_file():
            raise InputError("it has no run.json")
        summary = _read(path)
    except (InputError, OSError, RecursionError) as error:
        summary = RunSummary(path.name, path, "broken", problem=str(error))
    return (when, path.name), summary


def _read(path: Path) -> RunSummary:
    manifest = read_json(path / "run.json")
    if not isinstance(manifest, dict):
        raise InputError("its run.json is not a JSON object")
    result = read_json(path / "result.json") if (path / "result.json").exists() else None
    verb = _text(manifest.get("verb"))
    state, resume = "unfinished", None
    if verb in OWN_PAGE:
        state = "done" if (path / f"{OWN_PAGE[verb]}.json").exists() else "unfinished"
        if verb == "alternatives" and state == "unfinished":
            resume = f"offtarget alternatives --resume {shlex.quote(str(path))}"
    elif result is not None:
        state = _status(result)
    elif verb == "check" or (verb == "audit" and (path / "scan.json").exists()):
        resume = f"offtarget {verb} --resume {shlex.quote(str(path))}"
    return RunSummary(
        path.name,
        path,
        state,
        verb,
        _model(manifest, "base"),
        _model(manifest, "tuned") or _changed(manifest),
        None if verb == "audit" or verb in OWN_PAGE else _lines(path / "generations.jsonl"),
        _text(manifest.get("created")),
        resume=resume,
        data=_text(manifest.get("name")) if verb == "audit" else None,
        rows=_rows(path) if verb == "audit" else None,
    )


def _status(result: Any) -> str:
    decision = result.get("decision") if isinstance(result, dict) else None
    status = decision.get("status") if isinstance(decision, dict) else None
    if status not in ("PASS", "FAIL", "UNDECIDED"):
        raise InputError("its result.json holds no decision")
    return str(status)


def _model(manifest: Mapping[str, Any], role: str) -> str | None:
    models = manifest.get("models")
    entry = models.get(role) if isinstance(models, dict) else None
    return _text(entry.get("name") if isinstance(entry, dict) else entry)


def _changed(manifest: Mapping[str, Any]) -> str | None:
    """The model that a run with a page of its own changes."""
    settings = manifest.get("settings")
    return _text(manifest.get("model") or (settings.get("model") if isinstance(settings, dict) else None))


def _rows(path: Path) -> int | None:
    scan = read_json(path / "scan.json") if (path / "scan.json").exists() else None
    rows = scan.get("rows") if isinstance(scan, dict) else None
    return rows if isinstance(rows, int) else None


def _lines(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)
