"""How well an answer does the user's task: a score from 0 to 1 against the reference of the row."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import string
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError

Score = tuple[float | None, str | None]
"""0 to 1, and why it is not 1 where that is known."""
METRICS = "exact, f1, regex:PATTERN, command:COMMAND or judge"
JUDGE = "judge"

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

TIMEOUT_SECONDS = 30.0
_FILES = ("prompt", "reference", "answer")


@dataclass(frozen=True, slots=True)
class Task:
    """What an answer is scored against."""

    prompt: str
    reference: str


Metric = Callable[[Task, str], Score]


def open_metric(name: str) -> Metric:
    """The metric of that name. Raises InputError for an unknown one, a broken pattern and a missing program."""
    kind, colon, rest = name.partition(":")
    if name == "exact":
        return exact
    if name == "f1":
        return token_f1
    if kind == "regex" and colon:
        return _regex(rest)
    if kind == "command" and colon:
        return command_metric(rest)
    raise InputError(f"There is no metric '{name}'. Metrics: {METRICS}.")


def exact(task: Task, answer: str) -> Score:
    """1 when answer and reference are the same but for white space."""
    return float(answer.split() == task.reference.split()), None


def token_f1(task: Task, answer: str) -> Score:
    """F1 of the words both have, as SQuAD counts it (Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1).

    Words: lower case, without punctuation and English articles. Two empty texts agree.
    """
    said, wanted = _squad_words(answer), _squad_words(task.reference)
    if not said or not wanted:
        return float(said == wanted), None
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted)), None


def _squad_words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _regex(pattern: str) -> Metric:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"--metric regex: {error} in the pattern '{pattern}'.") from None
    if not pattern:
        raise InputError("--metric regex: the pattern is empty; it would be found in every answer.")
    return lambda task, answer: (float(compiled.search(answer) is not None), None)


def command_metric(command: str, timeout: float = TIMEOUT_SECONDS) -> Metric:
    """1 where `command`, run without a shell, ends with 0, else 0.

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

    def run(task: Task, answer: str) -> Score:
        with tempfile.TemporaryDirectory(prefix="offtarget-") as folder:
            paths = {name: Path(folder) / f"{name}.txt" for name in _FILES}
            for name, text in zip(_FILES, (task.prompt, task.reference, answer), strict=True):
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
