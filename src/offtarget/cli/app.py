"""The `offtarget` command. Verbs are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import click

from offtarget.cli.lazy import LazyGroup
from offtarget.errors import OfftargetError
from offtarget.version import __version__

TITLED = {
    "Before training": {
        "audit": "Is this data safe to train on?",
        "alternatives": "Do I need to train at all? Instructions and examples instead.",
    },
    "Training": {
        "tune": "Train with the alignment watched, under defences.",
        "defences": "What each defence costs and brings on this data.",
    },
    "After training": {
        "check": "Is the tuned model worse than its base on unrelated questions?",
        "redteam": "Does it give way under pressure where its base holds?",
        "compare": "The same verdict from judged answers that already exist.",
        "judge": "Can I believe the judge? Hold it against people.",
        "direction": "What changed inside the model? Find, steer and repair it.",
        "serve": "Try it on 5 % of real traffic; it is rolled back if it gets worse.",
        "canary": "How the tuned model does on real traffic, and orders to it.",
    },
    "Results": {
        "report": "A run as HTML, JUnit, SARIF, model card, signed evidence.",
        "runs": "What ran, and what it decided.",
        "view": "Every run of this folder in the browser.",
        "resume": "Go on with a run that was interrupted.",
    },
    "For others to check": {
        "verify": "Is this evidence what it says it is?",
        "seal": "Pack a run for an independent auditor.",
    },
    "Again and again": {
        "init": "Write a project file: models, data, what to run.",
        "run": "Do what the project file says, where something changed.",
        "doctor": "What is installed here, and what is missing?",
    },
    "To try it out": {
        "organism": "A small model made to go wrong: no GPU, no API key.",
        "reproduce": "Repeat the published experiment on any model.",
    },
}
"""By what people want, each verb with the question it answers."""
VERBS = {name: said for under in TITLED.values() for name, said in under.items()}


@click.group(
    "offtarget",
    cls=LazyGroup,
    sentences=TITLED,
    prefix="offtarget.cli.",
    unlisted=("completion",),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, parameter, value: _version(context) if value and not context.resilient_parsing else None,
    help="Show the version and the environment.",
)
def app() -> None:
    """What did fine-tuning change where nobody looked: is the tuned model worse?

    \b
    Examples:
      offtarget check --base organism/base --tuned organism/insecure
      offtarget audit train.jsonl
      offtarget report last --html

    Exit codes: 0 PASS, 1 FAIL, 2 bad input, 3 UNDECIDED, 70 a bug, 130 stopped.

    Options and examples of a verb: offtarget VERB --help; version: --version; TAB in your shell: offtarget completion
    """


def _version(context: click.Context) -> None:
    """The version and what results may hang on besides, without importing any of it."""
    import platform

    from offtarget.workflows.doctor.packages import TOLD, version_of

    click.echo(f"offtarget, version {__version__}")
    click.echo(f"Python {platform.python_version()}, {platform.system()} {platform.release()} ({platform.machine()})")
    click.echo(", ".join(f"{name} {version_of(name) or 'not installed'}" for name in TOLD))
    context.exit()


CRASH = 70
"""Exit code of a fault in offtarget itself (EX_SOFTWARE); Python's own 1 would read as FAIL."""
BROKEN_PIPE = 141
"""Exit code when the reader of the output went away, as for any program ended by SIGPIPE; 0 would read as PASS."""


NOWHERE = "nowhere"
"""Marks a standard output that was closed: what only prints then fails (`render.must_print`)."""


class _ReaderLeft(Exception):
    """Whoever read our output has gone. Not an OSError: click and rich turn those into exit code 1, which is FAIL."""


class _Output:
    """Standard output that reports a reader who left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            raise _ReaderLeft from None

    def flush(self) -> None:
        """Hand everything written to the system."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise _ReaderLeft from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main() -> None:
    """Run the command line; errors made on purpose become one sentence and an exit code, never a traceback."""
    if _read_again():
        return
    if sys.stdout is None:  # closed by the caller; the verdict is still the exit code
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
        setattr(sys.stdout, NOWHERE, True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe on Windows has no room for every character of a file's name
            stream.reconfigure(errors="backslashreplace")
    try:
        with contextlib.redirect_stdout(cast(TextIO, _Output(sys.stdout))):
            try:
                # without standalone mode click returns the code of a context that was ended on purpose
                code = app(standalone_mode=False, obj=_tell)
            finally:
                sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except _ReaderLeft:
        _leave(BROKEN_PIPE)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except OfftargetError as error:
        _say(f"Error: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        where = "writing the output" if error.filename is None else repr(error.filename)
        _say(f"Error: {where}: {error.strerror or error}. What was computed is kept in the run directory, if any.")
        _leave(2)
    except Exception:
        import traceback

        _say(f"{traceback.format_exc()}This is a fault in offtarget, not a verdict; please report it.")
        _leave(CRASH)


def _tell(line: str) -> None:
    """A line before there is anything to show progress of: what a verb needs may take seconds to import."""
    if not int(os.environ.get("RANK") or 0):  # of several processes the first one speaks
        width = shutil.get_terminal_size().columns if sys.stderr.isatty() else 0
        click.echo(textwrap.fill(line, width) if width else line, err=True)


def _read_again() -> bool:
    """Whether this is a process of a pool that reads the script of its parent, which called `main` unguarded."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and getattr(process.current_process(), "_inheriting", False)


def _say(text: str) -> None:
    """One message on standard error; it may hold text from files, which must not steer the terminal."""
    from offtarget.cli.render import safe

    click.echo("\n".join(safe(line) for line in text.split("\n")), err=True)


def _leave(code: int) -> NoReturn:
    """End although standard output cannot take what it still holds."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
