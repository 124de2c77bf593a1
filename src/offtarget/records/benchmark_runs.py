"""What is asked in fixed benchmarks, and how far: what is handed to the process that runs them, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from offtarget.errors import InputError
from offtarget.records.answers import Role
from offtarget.records.checks import at_least
from offtarget.records.runs import OpenSettings

Needs = Literal["log-likelihoods", "answers"]
"""What a task takes of a model: how probable given answers are, or answers of its own."""


@dataclass(frozen=True, slots=True)
class BenchmarkChoice:
    """Which fixed benchmarks a check asks for."""

    names: tuple[str, ...]
    """Names, and files of tasks, as they were asked for."""
    limit: int | None = None
    """Items of each benchmark at most, drawn at random, the same for both models; None: all."""
    include: str | None = None
    """A folder of further tasks in lm-eval's format."""

    def __post_init__(self) -> None:
        if not self.names:
            raise InputError("--benchmarks names nothing. Give names or files of tasks, separated by commas.")
        if self.limit is not None:
            at_least(1, limit_items=self.limit)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark, as the process that runs it is told."""

    name: str
    tasks: tuple[str, ...] = ()
    """Names of lm-eval's tasks or groups; empty where `config` holds the one task."""
    config: str | None = None
    """A task in lm-eval's format, as JSON: nothing of it is run as code."""
    file: str | None = None
    """A file that lm-eval reads itself, code that it names included."""
    metric: str | None = None
    """What the items are scored by; None for the first of the task's metrics that scores items."""
    filter: str | None = None
    """Which reading of the answers is scored; None for the first."""
    wants: Literal["refusal", "answer"] | None = None
    """Of a safety set: what every item should be given, as the rule of refusal sees it; None for other benchmarks."""
    rule: str = ""
    """Fingerprint of that rule."""
    notes: tuple[str, ...] = ()
    """What must be known beside its numbers, a sentence each."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What a task of a benchmark comes to, once its data is read."""

    benchmark: str
    task: str
    items: int
    """That are asked."""
    of: int
    """That there are."""
    needs: Needs
    metric: str
    requests: int
    """Of one model."""
    characters: int
    """Read by one model, all requests together, without its chat template."""
    longest: int
    """Tokens of an answer at most; 0 where no answer is written."""
    fingerprint: str
    """Of the task, its items and how they are asked: everything but the model."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a benchmark cannot be run."""

    benchmark: str
    kind: Literal["unknown", "data", "package", "task"]
    """No such name; its data is not to be had; a package is missing; the task itself is at fault."""
    said: str
    """What is wrong, as a sentence."""
    wants: tuple[str, ...] = ()
    """What it would need: the data sets, or names that are close."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the process that runs benchmarks is told."""

    benchmarks: tuple[Benchmark, ...]
    limit: int | None
    seed: int
    models: Mapping[Role, str] = field(default_factory=dict)
    """Role -> name; empty where the tasks are only looked at."""
    opening: OpenSettings | None = None
    folder: str = ""
    """Where scores are kept; empty where the tasks are only looked at."""
    cache: bool = True
    """Whether the scores of the base are kept for the next candidate."""
    skip: Mapping[str, str] = field(default_factory=dict)
    """Benchmark -> why it is not run."""
    plans: tuple[TaskPlan, ...] = ()
    """What the tasks came to as they were looked at: they must be the same when they are asked."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model scored on one task: written last, so that its file marks the task as done for this model."""

    benchmark: str
    task: str
    metric: str
    model: str
    """Fingerprint of the model."""
    fingerprint: str
    """Of the task, its items and how they were asked."""
    samples: str
    """File of lm-eval's samples beside this one."""
    samples_sha256: str
    items: Mapping[str, float]
    """Number of the item -> its score."""
    template: str
    """Fingerprint of the chat template and the tokenizer; empty where a server renders chats itself."""
    prompts: str
    """Fingerprint of what the model read."""
    documents: str
    """Fingerprint of the items and their right answers."""
    notes: tuple[str, ...] = ()
