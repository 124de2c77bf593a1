"""A job of a pipeline: check, audit or project run; then summary, comment and reports. The verdict is the exit code."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, OfftargetError
from offtarget.pages.comment import LONGEST, marker
from offtarget.pages.text import one_line
from offtarget.pages.written import escape
from offtarget.plugins.ci.asked import commands, read
from offtarget.plugins.ci.hosts import Refused, host_of
from offtarget.rundir import fresh_folder, runs_root
from offtarget.workflows.project.ledger import LEDGER
from offtarget.workflows.runs.cards import card
from offtarget.workflows.runs.report import report, report_text

WORST_FIRST = (1, 2, 3, 0)
VERDICTS = {1: "FAIL", 3: "UNDECIDED"}
PASSING = ("PASS", "OK", "DONE")
"""States of a run that let a job pass."""
NO_VERDICT = 2
FORMATS = {"html": "html", "junit": "junit.xml", "sarif": "sarif", "markdown": "md"}
"""Reports that are kept, with the endings of their names."""
PERMISSION = (
    "The job needs `permissions: pull-requests: write`; a pull request from a fork never has it. The job summary has "
    "all of it."
)


@dataclass(frozen=True, slots=True)
class Done:
    """What one command came to."""

    what: str
    code: int
    run: Path | None
    said: str = ""
    """What went wrong, where there is no run."""
    state: str = ""
    """That of the run, by its own records; an exit code by itself is no verdict."""


def main() -> int:
    """Everything, in order; the exit code of the job."""
    github = os.environ.get("GITHUB_ACTIONS") == "true"
    try:
        asked = read(os.environ)
        _refuse_brought(Path(asked.file).parent / runs_root())
        done = [each for command in commands(asked) for each in _done(command, github)]
        if not any(each.run for each in done):
            done.append(Done("job", NO_VERDICT, None, "Nothing was run, so there is no verdict; the log says why."))
        done.sort(key=lambda each: _rank(each.code))  # the worst is read first
        code = done[0].code
        state = _word(code, done)
        text = _text(done)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            _append(summary, text)
        _outputs(code, state, done, _reports(done, Path(asked.reports)))
    except (OfftargetError, OSError, ValueError) as error:
        _tell("error", f"offtarget: {error}", github)
        return 2
    if asked.comment == "true":
        _comment(text, github)
    if code == 3 and asked.undecided == "pass":
        _tell("warning", "offtarget: UNDECIDED, which is not a pass; this job passes because it is set to.", github)
        return 0
    _tell("error" if code else "notice", f"offtarget: {state}", github)
    return code


def _refuse_brought(runs: Path) -> None:
    """InputError where the repository itself says which steps were done: a pull request could bring a verdict along."""
    names = (runs / LEDGER, runs)  # the folder itself is a file of the repository where it is a link
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--full-name", "--", *map(str, names)]
    try:
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:  # no git: nothing was checked out by it here
        return
    ends = tuple(f"/{name.as_posix()}" for name in (Path(runs.name) / LEDGER, Path(runs.name)))
    if any(f"/{name}".endswith(ends) for name in said.stdout.split("\0")):
        raise InputError(
            f"{runs / LEDGER} is part of the repository, so a pull request could bring its own verdict along. Take it "
            f"out (git rm -r --cached {runs}), and add {runs}/ to .gitignore; the cache of the job keeps runs."
        )


def _word(code: int, done: list[Done]) -> str:
    """PASS only where a run says so itself; DONE where no verdict was due."""
    if code == 0:
        return "PASS" if any(each.state == "PASS" for each in done) else "DONE"
    return VERDICTS.get(code, "ERROR")


def _rank(code: int) -> int:
    return WORST_FIRST.index(code) if code in WORST_FIRST else -1


def _done(command: list[str], github: bool) -> Iterator[Done]:
    """Run one command, its output in the log; each run that it made or found up to date."""
    if command[0] == "run":
        yield from _project(command, github)
        return
    about = command[command.index("--tuned") + 1] if "--tuned" in command else command[1]
    folder = fresh_folder(runs_root(), command[0], about.rstrip("/").rsplit("/", 1)[-1])
    with _no_commands(github):
        code = subprocess.run(
            [sys.executable, "-m", "offtarget", *command, "--run", str(folder)], check=False
        ).returncode
    if (folder / "run.json").is_file():
        yield _of_run(command[0], code, folder)
        return
    if not any(folder.iterdir()):
        folder.rmdir()
    said = f"`offtarget {command[0]}` could not be done (exit code {code}); the log of the job says why."
    yield Done(command[0], code if code not in (0, 1, 3) else NO_VERDICT, None, said)


def _of_run(what: str, code: int, run: Path) -> Done:
    """A run with what its records say; an exit code that they contradict is no verdict."""
    state = card(run).state
    fits = {0: state in PASSING, 1: state in ("FAIL", "ALARM"), 3: state == "UNDECIDED"}.get(code, True)
    return Done(what, code if fits else NO_VERDICT, run, state=state)


def _project(command: list[str], github: bool) -> Iterator[Done]:
    with _no_commands(github):
        ran = subprocess.run(
            [sys.executable, "-m", "offtarget", *command], stdout=subprocess.PIPE, text=True, check=False
        )
        print(ran.stdout, flush=True)
    try:
        steps: list[dict[str, Any]] = json.loads(ran.stdout)["steps"]
    except (ValueError, KeyError, TypeError):
        yield Done("run", ran.returncode or 2, None, "`offtarget run` could not be done; the log of the job says why.")
        return
    for step in steps:
        run = Path(step["run"]) if step.get("run") else None
        code = int(step.get("exit_code") or 0)
        if str(step.get("did", "")).startswith("would"):  # what is due was not done, whatever else is up to date
            yield Done(str(step["step"]), NO_VERDICT, None, "It is to be done, and was not; leave out --dry-run.")
        elif run is not None and code == 0 and step.get("accepted"):  # an UNDECIDED that the project file takes as fine
            yield Done(str(step["step"]), code, run, state=card(run).state)
        elif run is not None:
            yield _of_run(str(step["step"]), code, run)
        elif code:  # without a run there is nothing undecided: a limit ended it before there was a verdict
            yield Done(str(step["step"]), code if code != 3 else NO_VERDICT, None, str(step.get("sentence", "")))
    if ran.returncode:  # whatever the steps say, the exit code of the whole holds
        yield Done("run", ran.returncode, None)


@contextmanager
def _no_commands(github: bool) -> Iterator[None]:
    """GitHub obeys lines of the log that look like its commands; what models say must not be obeyed."""
    token = secrets.token_hex(16)
    if github:
        print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        if github:
            print(f"::{token}::", flush=True)


def _text(done: list[Done]) -> str:
    """The comment: of each run its own, the worst first, as far as there is room."""
    job = [os.environ.get(name, "") for name in ("GITHUB_WORKFLOW", "GITHUB_JOB", "CI_JOB_NAME")]
    parts = [marker("job", *job)]
    for each in done:
        if each.run is None:
            part = f"### offtarget {each.what}: not done\n\n{escape(each.said, 1000)}\n" if each.said else ""
        else:
            part = report_text(each.run, "pr").partition("\n")[2]
        if sum(map(len, parts)) + len(part) > LONGEST:
            part = (
                f"### offtarget {each.what}\n\nToo long for this comment; its report is among the files of the job.\n"
            )
        parts.append(part)
    return "\n".join(filter(None, parts))


def _reports(done: list[Done], folder: Path) -> dict[str, Path]:
    """Write every report of every run; of the worst run each by format."""
    first: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for each in done:
        for name, ending in FORMATS.items() if each.run is not None else ():
            assert each.run is not None
            made = Path(report(each.run, name, folder / f"{each.run.name}.{ending}"))
            first.setdefault(name, made)
    return first


def _outputs(code: int, state: str, done: list[Done], written: Mapping[str, Path]) -> None:
    """What later steps of the job may use."""
    if not (file := os.environ.get("GITHUB_OUTPUT")):
        return
    run = next((str(each.run) for each in done if each.run is not None), "")
    values = {"verdict": state, "exit-code": str(code), "run": run}
    values |= {name: str(path) for name, path in written.items()}
    _append(file, "".join(f"{name}={one_line(value, 4000)}\n" for name, value in values.items()))


def _comment(text: str, github: bool) -> None:
    """Comment, or say why not; the verdict does not depend on it."""
    try:
        host = host_of(os.environ)
        if host is not None:
            print(f"offtarget: commented at {one_line(host.post(text.partition(chr(10))[0], text))}", flush=True)
    except (Refused, KeyError, TypeError) as refused:
        more = f" {PERMISSION}" if github else ""
        _tell("warning", f"offtarget: no comment was written: {refused}.{more}", github)


def _tell(level: str, message: str, github: bool) -> None:
    line = one_line(message, 1000)
    said = line.replace("%", "%25")
    print(f"::{level}::{said}" if github else line, file=sys.stdout if github else sys.stderr, flush=True)


def _append(file: str, text: str) -> None:
    with Path(file).open("a", encoding="utf-8") as opened:
        opened.write(text)


if __name__ == "__main__":
    sys.exit(main())
