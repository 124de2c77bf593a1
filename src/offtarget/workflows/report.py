"""From a run directory to a file other people can read."""

from __future__ import annotations

from pathlib import Path

from offtarget.errors import InputError
from offtarget.gate.registry import rendered, report_format
from offtarget.rundir import read_json
from offtarget.workflows.runs import OWN_PAGE, find_run

TERMINAL = "terminal"
"""The format that returns plain text and writes no file."""


def report(run: str | Path, format: str = TERMINAL, out: Path | None = None) -> Path | str:
    """Write the report of a run and return its path; `terminal` returns the text instead.

    `run` is a folder, a name under the runs folder, or `last`; `out` defaults to a file in the run directory.
    Raises InputError for an unknown run or format, damaged records, or a place that cannot be written.
    """
    path = find_run(run)
    _refuse_own_page(path)
    chosen = report_format("text" if format == TERMINAL else format)
    text = rendered(path, chosen.name)
    if format == TERMINAL and out is None:
        return text
    target = path / chosen.filename if out is None else Path(out)
    if target.is_dir():
        target = target / chosen.filename
    _write(target, text)
    return target


def _refuse_own_page(path: Path) -> None:
    manifest = read_json(path / "run.json") if (path / "run.json").is_file() else None
    verb = manifest.get("verb") if isinstance(manifest, dict) else None
    if verb in OWN_PAGE:
        page = path / f"{OWN_PAGE[verb]}.html"
        command = {"steer": "direction steer", "repair": "direction repair"}.get(verb, verb)
        if not page.exists():
            raise InputError(f"{path} is an unfinished run of `{command}`; its page comes when it has ended.")
        raise InputError(f"{path} is a run of `{command}`, which has a page of its own: {page}.")


def _write(target: Path, text: str) -> None:
    temporary = target.with_name(target.name + ".part")
    try:
        if target.exists() and not target.is_file():
            # a device or a pipe is written to; to put a file in its place would take /dev/null from the whole machine
            target.write_text(text, encoding="utf-8", newline="\n")
            return
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None
        raise InputError(f"Cannot write {target}: {error.strerror}. Choose another file with --out.") from None
