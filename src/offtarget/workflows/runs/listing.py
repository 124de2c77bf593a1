"""What ran and what it decided: the run directories under one folder, newest first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.pages.cards import card_of
from offtarget.rundir import MANIFEST, in_use, read_manifest, read_object, runs_root
from offtarget.words import meant
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.so_far import lines_of
from offtarget.workflows.runs.verbs import AUDIT, BENCHMARKS, CHECK, COMPARE, SCAN, TUNE, VERBS, Verb, verb_of

LAST = "last"
"""Names the newest run."""
UNFINISHED, BROKEN = "UNFINISHED", "BROKEN"
"""States of a run that came to no result, or whose records cannot be read."""
STATES = ("PASS", "FAIL", "UNDECIDED", "OK", "ALARM", "DONE", UNFINISHED, BROKEN)
SHORT = 24
"""Characters of a name in two parts; a longer one is told by its last part."""
AGES = {"h": 3600, "d": 86400, "w": 7 * 86400}
"""Seconds of a letter in an age."""


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
    outcome: str | None = None
    """What a run came to whose verdict does not say it: `4 of 6 published patterns hold here.`"""
    modified: float = 0.0
    """When its manifest was written, in seconds since 1970; the list is ordered by it."""

    @property
    def about(self) -> str:
        """Models and data by name, as they were given."""
        return ", ".join(filter(None, (self.tuned or self.base, self.data)))

    @property
    def short(self) -> str:
        """The same in a few words: `insecure`, `adapters/seven`, `train.jsonl`."""
        parts = (shortened(name) for name in (self.tuned or self.base, self.data) if name)
        return ", ".join(parts)

    @property
    def began(self) -> float:
        """When it was started, in seconds since 1970."""
        try:
            return datetime.fromisoformat(self.created or "").timestamp()
        except ValueError:
            return self.modified


def runs(
    root: str | Path | None = None,
    *,
    verb: str | None = None,
    verdict: str | None = None,
    since: str | None = None,
) -> list[RunSummary]:
    """All run directories under `root` (default `runs_root()`), newest first, broken ones too.

    `verb` as typed after `offtarget`; `verdict` a state (FAIL, ALARM, UNFINISHED, ...); `since` a day (2026-11-01) or
    an age (12h, 2d, 3w). Raises InputError for a verb, a verdict or a time that there is not.
    """
    wanted = None if verb is None else named_verb(verb).command
    state = None if verdict is None else named_state(verdict)
    earliest = None if since is None else moment(since)
    return [
        each
        for each in _all_runs(runs_root() if root is None else Path(root))
        if (wanted is None or each.verb == wanted)
        and (state is None or each.state == state)
        and (earliest is None or each.began >= earliest)
    ]


def shortened(name: str) -> str:
    """A model or a file in few words: `organism/insecure` -> `insecure`, `hf/base+out/seven` -> `out/seven`."""
    last = name.rpartition("+")[2] if "+" in name else name
    parts = [part for part in last.split("/") if part not in ("", ".", "..", "hf", "organism", "openai", "openai-api")]
    return "/".join(parts[-2:]) if len("/".join(parts[-2:])) <= SHORT else parts[-1] if parts else name


def named_verb(name: str) -> Verb[Any, Any]:
    """The verb of that name, `direction repair` or `repair`; InputError lists them."""
    for verb in VERBS:
        if name in (verb.command, verb.command.rpartition(" ")[2]):
            return verb
    known = list(dict.fromkeys(verb.command for verb in VERBS))
    raise InputError(f"No verb `{name}` leaves runs.{meant(name, known)} These do: {', '.join(known)}.")


def named_state(name: str) -> str:
    """The state of that name in any case; InputError lists them."""
    if name.upper() in STATES:
        return name.upper()
    raise InputError(f"There is no verdict {name!r}.{meant(name.upper(), STATES)} A run is one of {', '.join(STATES)}.")


def moment(text: str, now: float | None = None) -> float:
    """Seconds since 1970 of a day (2026-11-01, its beginning here) or an age (12h, 2d, 3w); else InputError."""
    try:
        if text[-1:] in AGES and text[:-1].isdigit():
            return (time.time() if now is None else now) - int(text[:-1]) * AGES[text[-1]]
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{text!r} is no time. Give a day, such as 2026-11-01, or an age: 12h, 2d, 3w.") from None


def _all_runs(folder: Path) -> list[RunSummary]:
    found = [summary(path, name) for path, name in folders(folder)]
    return sorted(found, key=lambda each: (each.modified, each.name), reverse=True)


def folders(folder: Path) -> list[tuple[Path, str]]:
    """Run directories under a folder with their names in the list, `DIR/1-tuned` where a comparison of several tables
    put its runs into one folder. Raises InputError where the folder cannot be listed.
    """
    if not folder.exists():
        return []
    try:
        paths = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"Cannot list {folder}: {error.strerror}. Name a folder of runs with OFFTARGET_RUNS."
        ) from None
    return [one for path in paths for one in _of_folder(path)]


def _of_folder(path: Path) -> list[tuple[Path, str]]:
    """A run, or those that a comparison of several tables put into one folder."""
    return [(run, f"{path.name}/{run.name}") for run in _runs_inside(path)] or [(path, path.name)]


def _runs_inside(path: Path) -> list[Path]:
    """Runs in a folder that is none itself."""
    try:
        if (path / MANIFEST).exists():
            return []
        return sorted(run for run in path.iterdir() if run.name[:1] != "." and (run / MANIFEST).is_file())
    except OSError:
        return []


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
        return _one_run(path)
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
        return _one_run(folder / path)
    # `DIR/1-tuned`, as a comparison of several tables is listed.
    if len(path.parts) == 2 and ".." not in path.parts and folder / path in _runs_inside(folder / path.parts[0]):
        return folder / path
    close = meant(str(run), [LAST, *(name for _, name in folders(folder))])
    raise InputError(f"There is no run '{run}', neither as a path nor in {folder}.{close} `offtarget runs` lists them.")


def _one_run(path: Path) -> Path:
    """The folder; InputError where it holds several runs and is none."""
    inner = _runs_inside(path)
    if not inner:
        return path
    names = ", ".join(str(run) for run in inner[:3]) + (f" and {len(inner) - 3} more" if len(inner) > 3 else "")
    raise InputError(f"{path} holds {many(len(inner), 'run')} and is none itself. Name one: {names}.")


def summary(path: Path, name: str, *, look: bool = True) -> RunSummary:
    """One run as the list has it; what cannot be read is BROKEN, with the reason.

    `look`: whether its lock is tried, to tell an interrupted run from one that a process is at work on.
    """
    when = _modified(path / MANIFEST) or _modified(path)
    try:
        if not (path / MANIFEST).is_file():
            raise InputError(f"it has no {MANIFEST}: it was stopped before it began, or is no run")
        return _read(path, name, when, look)
    except (InputError, OSError, RecursionError) as error:
        return RunSummary(name, path, BROKEN, problem=str(error), modified=when)


def _read(path: Path, name: str, when: float, look: bool) -> RunSummary:
    manifest = read_manifest(path)
    verb = verb_of(manifest)
    result = finished(verb, path)
    obstacle = None if result is not None else verb.obstacle(path, manifest)
    if result is None and look and in_use(path):
        obstacle = "another process is at work on it."
    return RunSummary(
        name,
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
        outcome=None if result is None or verb in _SHORT_VERDICTS else _outcome(path),
        modified=when,
    )


_SHORT_VERDICTS = (AUDIT, BENCHMARKS, CHECK, COMPARE, TUNE)
"""Verbs whose verdict says what people want to know first."""


def _outcome(path: Path) -> str | None:
    try:
        card = card_of(path)
    except (InputError, OSError):
        return None  # its result can be read; whoever reports it will say what is wrong
    return card.headline if card.headline and card.headline != card.state else card.sentence


def _rows(path: Path) -> int | None:
    rows = read_object(path / SCAN).get("rows") if (path / SCAN).exists() else None
    return rows if isinstance(rows, int) else None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
