"""From a run directory to a file other people can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.pages.registry import rendered, report_format
from offtarget.rundir import read_manifest
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import Verb, verb_of

TERMINAL = "terminal"
"""The format that returns plain text and writes no file."""


def report(run: str | Path, format: str = TERMINAL, out: str | Path | None = None) -> Path | str:
    """Write the report of a run and return its path; `terminal` returns the text instead.

    `run` is a folder, a name under the runs folder, or `last`; `out` defaults to a file in the run directory. Verbs
    that write a page of their own have that page (`html`, and in place of text) and what it shows as `json`.
    Raises InputError for an unknown run or format, damaged records, or a place that cannot be written.
    """
    path = find_run(run)
    verb = verb_of(read_manifest(path))
    if verb.page is not None:
        file = own_report(path, verb, format)
        return file if out is None else _write(Path(out), file.name, file.read_text(encoding="utf-8"))
    chosen = report_format("text" if format == TERMINAL else format)
    text = rendered(path, chosen.name)
    if format == TERMINAL and out is None:
        return text
    return _write(path / chosen.filename if out is None else Path(out), chosen.filename, text)


def report_text(run: str | Path, format: str) -> str:
    """The same as text, without writing a file."""
    path = find_run(run)
    verb = verb_of(read_manifest(path))
    return rendered(path, format) if verb.page is None else own_report(path, verb, format).read_text(encoding="utf-8")


def own_report(path: Path, verb: Verb[Any, Any], format: str) -> Path:
    """The page, or the JSON, that a verb has written into a run. Raises InputError where there is none (yet)."""
    assert verb.page is not None
    names = {"html": verb.page, "json": verb.done, TERMINAL: verb.page}
    if format not in names:
        raise InputError(f"`{verb.command}` has a page (--html) and its figures (--json), but no report as {format}.")
    file = path / names[format]
    if file.exists():
        return file
    if not (path / verb.done).exists():
        raise InputError(
            f"{path} is an unfinished run of `{verb.command}`; its page comes when it has ended. "
            f"Go on with: {read_manifest(path).resume_command(path)}"
        )
    if format == TERMINAL:
        return path / verb.done
    raise InputError(f"{path} has no page: nothing was watched in it. What it came to: offtarget report {path} --json")


def _write(target: Path, name: str, text: str) -> Path:
    """Write a file, into a folder under its usual name."""
    target = target / name if target.is_dir() else target
    temporary = target.with_name(target.name + ".part")
    try:
        if target.exists() and not target.is_file():
            # a device or a pipe is written to; to put a file in its place would take /dev/null from the whole machine
            target.write_text(text, encoding="utf-8", newline="\n")
            return target
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None
        raise InputError(f"Cannot write {target}: {error.strerror}. Choose another file with --out.") from None
    return target
