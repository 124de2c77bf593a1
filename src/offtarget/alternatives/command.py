"""A metric that asks a command of the user's: exit code 0 means that the answer does the task.

The command is run only because it was asked for, and it alone decides whether anything of an answer is executed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from offtarget.errors import InputError

TIMEOUT_SECONDS = 30.0
_FILES = ("prompt", "reference", "answer")


def command_metric(
    command: str, timeout: float = TIMEOUT_SECONDS
) -> Callable[[str, str, str], tuple[float | None, str | None]]:
    """A function (prompt, reference, answer) -> (1 or 0, reason) that runs `command`, without a shell.

    `{answer}`, `{reference}` and `{prompt}` in it become paths of files with these texts; without `{answer}` that path
    is added at the end. A command that outlives `timeout` seconds is killed with its children and scores 0.
    Raises InputError for an empty command and a program that is not there.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--metric command: {error} in '{command}'.") from None
    if not words:
        raise InputError("--metric command: no command follows. Example: --metric 'command:python check.py {answer}'")
    if shutil.which(words[0]) is None:
        raise InputError(f"--metric command: there is no program '{words[0]}'.")
    if not any("{answer}" in word for word in words):
        words.append("{answer}")

    def run(prompt: str, reference: str, answer: str) -> tuple[float | None, str | None]:
        with tempfile.TemporaryDirectory(prefix="offtarget-") as folder:
            paths = {name: Path(folder) / f"{name}.txt" for name in _FILES}
            for name, text in zip(_FILES, (prompt, reference, answer), strict=True):
                paths[name].write_text(text, encoding="utf-8", errors="surrogatepass")
            code = _run([_filled(word, paths) for word in words], timeout)
        if code is None:
            return 0.0, f"the command took longer than {timeout:g} s"
        return float(code == 0), None if code == 0 else f"the command ended with {code}"

    return run


def _filled(word: str, paths: dict[str, Path]) -> str:
    for name, path in paths.items():
        word = word.replace(f"{{{name}}}", str(path))
    return word


def _run(words: list[str], timeout: float) -> int | None:
    """Exit code of a program, None where it had to be killed; what it prints is dropped."""
    silent = subprocess.DEVNULL
    try:
        process = subprocess.Popen(words, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)
    except OSError as error:
        raise InputError(f"--metric command: '{words[0]}' cannot be run: {error.strerror or error}.") from None
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            _kill_with_children(process)
            process.wait()


def _kill_with_children(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        silent = subprocess.DEVNULL
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], stdout=silent, stderr=silent, check=False)
    else:
        os.killpg(process.pid, signal.SIGKILL)
