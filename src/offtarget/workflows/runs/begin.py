"""How a run begins, is interrupted, goes on and ends: the same for every verb."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from offtarget.asking.spending import counted, going_on, settled
from offtarget.errors import InputError, LimitReached, RunInterrupted, UnreachableError
from offtarget.records.runs import Manifest, Repeatable
from offtarget.rundir import MANIFEST, RunDir, read_manifest, read_record, to_jsonable, write_json
from offtarget.version import stamp
from offtarget.workflows.runs.verbs import M, R, Verb, verb_of


def begin(directory: RunDir, manifest: Manifest) -> None:
    """Write how a run was started."""
    now = stamp()
    here = str(Path.cwd())
    write_json(directory.file(MANIFEST), replace(manifest, created=now["created"], version=now["version"], folder=here))


def begin_or_resume(manifest: Repeatable, slug: str, run: str | Path | None) -> RunDir:
    """A new run directory with its manifest, or `run`, if that was started with the same; else InputError."""
    if run is None or not begun(run):
        directory = RunDir.create(manifest.verb, slug, path=run)
        begin(directory, manifest)
        return directory
    verb = verb_of(manifest)
    directory, started = opened(verb, Path(run))
    if started.fingerprint != manifest.fingerprint:
        raise InputError(f"{run} was started with {verb.depends}. Start a new run.")
    return directory


def begun(run: str | Path) -> bool:
    """Whether a run was begun in that folder."""
    return (Path(run) / MANIFEST).exists()


def opened(verb: Verb[M, R], path: Path) -> tuple[RunDir, M]:
    """A run of a verb and how it was started. Raises InputError for any other folder."""
    manifest = read_manifest(path)
    if not isinstance(manifest, verb.manifest):
        raise InputError(f"{path} is a run of `{verb_of(manifest).command}`, not of `{verb.command}`.")
    going_on(path)
    return RunDir(path), manifest


def finished(verb: Verb[M, R], path: Path) -> R | None:
    """What a run came to; None while it is unfinished."""
    file = path / verb.done
    if not file.exists():
        return None
    way_out = f"Delete that file and go on with: offtarget resume {shlex.quote(str(path))}" if verb.home else ""
    return read_record(file, verb.result, way_out or "Restore it, or run again.", key=verb.key)


def finish(verb: Verb[M, R], directory: RunDir, result: R, page: str | None = None, **more: object) -> None:
    """Write the page of a run, if it has one, and the file that marks it as done, with what it took."""
    if page is not None and verb.page is not None:
        directory.file(verb.page).write_text(page, encoding="utf-8")
    spent = settled(directory.path)
    value = {verb.key: result, **more, **stamp()} if verb.key else to_jsonable(result)
    write_json(directory.file(verb.done), value if spent is None else {**value, "spent": spent})


@contextmanager
def interruptible(directory: RunDir, *, clock: bool = True) -> Iterator[None]:
    """Ctrl-C, here or in a run inside of this one, becomes RunInterrupted with the command that goes on.

    A server that is gone is an UnreachableError with that command, and a limit that is reached a LimitReached.

    What is asked in here counts as spent by the run; `clock` is False where the time is that of another process.
    """
    try:
        with counted(directory.path, clock=clock):
            yield
    except (KeyboardInterrupt, RunInterrupted):
        raise interrupted(directory.path) from None
    except UnreachableError as error:
        raise UnreachableError(error.said, kept(directory.path)) from None
    except LimitReached as error:
        raise LimitReached(error.said, error.more, kept(directory.path)) from None


def interrupted(path: Path) -> RunInterrupted:
    """What is raised when somebody stops a run: what is kept, and the command that goes on with this very run."""
    return RunInterrupted(f"Interrupted. {kept(path)}")


def kept(path: Path) -> str:
    """What an unfinished run has kept, and the command that goes on with it, without a full stop."""
    manifest = read_manifest(path)
    kept = verb_of(manifest).kept or "What is on disk is kept"
    return f"{kept}; go on with: {manifest.resume_command(path.absolute())}"
