"""How well an answer does the user's task: a score from 0 to 1 against the reference of the row."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from offtarget.alternatives.command import command_metric
from offtarget.errors import InputError

Score = tuple[float | None, str | None]
"""0 to 1, and why it is not 1 where that is known."""
METRICS = "exact, f1, regex:PATTERN, command:COMMAND or judge"
JUDGE = "judge"

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


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
        run = command_metric(rest)
        return lambda task, answer: run(task.prompt, task.reference, answer)
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
