"""From a run directory to a file other people can read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from offtarget.errors import InputError
from offtarget.pages import comment, sarif, written
from offtarget.pages.card import Card
from offtarget.pages.cards import page_of, written_of
from offtarget.pages.model_card import block
from offtarget.pages.registry import rendered, report_format
from offtarget.rundir import read_manifest, read_object
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.cards import card
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import verb_of

TERMINAL = "terminal"
"""The format that returns plain text and writes no file."""


def report(run: str | Path, format: str = TERMINAL, out: str | Path | None = None) -> Path | str:
    """Write the report of a run and return its path; `terminal` returns the text instead.

    `run` is a folder, a name under the runs folder, or `last`; `out` defaults to a file in the run directory. Every
    verb has every format. A run that has not come to its end is reported as UNFINISHED, with what there is so far.
    Raises InputError for an unknown run or format, damaged records, or a place that cannot be written.
    """
    path = find_run(run)
    chosen = report_format("text" if format == TERMINAL else format)
    name, text = _made(path, chosen.name, chosen.filename)
    if format == TERMINAL and out is None:
        return text
    if out is None and _holds(path / name, text):  # also where the run may not be written to
        return path / name
    return _write(path / name if out is None else Path(out), name, text)


def report_text(run: str | Path, format: str) -> str:
    """The same as text, without writing a file."""
    chosen = report_format(format)
    return _made(find_run(run), chosen.name, chosen.filename)[1]


def _made(path: Path, format: str, filename: str) -> tuple[str, str]:
    """What to call the report, and its text: the verb's own where it has one, else its card."""
    verb = verb_of(read_manifest(path))
    if verb.page is None:
        return filename, rendered(path, format)
    done = finished(verb, path) is not None
    if format == "json":
        made = card(path)
        value = read_object(path / verb.done) if done else asdict(made)
        envelope = written.envelope(made, run=path.resolve().name, verb=verb.command, finished=done)
        return filename, json.dumps({**envelope, **value}, indent=2) + "\n"
    if format == "html":
        again = page_of(path) if done else None
        if again is not None:
            return verb.page, again
        if (path / verb.page).exists():
            return verb.page, (path / verb.page).read_text(encoding="utf-8")
    own = written_of(path, format) if done else None
    if own is not None:
        return filename, own
    return filename, _of_card(card(path), verb.command, path.resolve().name, format)


def _of_card(card: Card, what: str, run: str, format: str) -> str:
    if format == "html":
        return written.as_page(card, what)
    if format == "sarif":
        return sarif.of_card(card, what, run)
    if format == "pr":
        return comment.of_card(card, what, run)
    ways = {"markdown": written.markdown, "junit": written.junit, "text": written.text, "card": block}
    return ways[format](card)


def _holds(file: Path, text: str) -> bool:
    try:
        return file.is_file() and file.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False


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
