"""lm-eval's tasks, loaded and looked at. Imported in the process that runs benchmarks alone: it imports lm-eval."""

from __future__ import annotations

import difflib
import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lm_eval.utils
from jinja2.sandbox import ImmutableSandboxedEnvironment
from lm_eval.tasks import TaskManager
from lm_eval.utils import handle_non_serializable

from offtarget.benchmarks.known import NAMES, known_by
from offtarget.benchmarks.safety import Refuses, scorer
from offtarget.records.benchmark_runs import Benchmark, Needs, Obstacle, TaskPlan
from offtarget.rundir import fingerprint

FEWSHOT_SEED = 1234
"""lm-eval's own, so that a task is asked with the examples of its published numbers."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_LIKELY = ("loglikelihood", "multiple_choice")


def seal_templates() -> None:
    """Templates of tasks can no longer reach into Python: lm-eval renders them with all of it at hand."""
    usual = lm_eval.utils.env
    sealed = ImmutableSandboxedEnvironment(undefined=usual.undefined, keep_trailing_newline=True)
    sealed.filters.update(usual.filters)
    lm_eval.utils.env = sealed


class NotToBeRunError(Exception):
    """A benchmark that cannot be run; says why."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.said)
        self.obstacle = obstacle


@dataclass
class Loaded:
    """A task of a benchmark with its data, and which of its items are asked."""

    benchmark: Benchmark
    name: str
    task: Any
    """lm-eval's."""
    items: Sequence[int]
    """Numbers of the items, ascending."""

    @property
    def needs(self) -> Needs:
        """What it takes of a model."""
        return "log-likelihoods" if self.task.OUTPUT_TYPE in _LIKELY else "answers"

    @cached_property
    def metric(self) -> str:
        """What its items are scored by."""
        return self.benchmark.metric or _first_metric(self.task)

    @cached_property
    def documents(self) -> str:
        """Fingerprint of the items and their right answers."""
        docs = self.task.eval_docs
        said = [json.dumps(docs[i], default=handle_non_serializable, sort_keys=True) for i in self.items]
        targets = [str(self.task.doc_to_target(docs[i])) for i in self.items]
        return hashlib.sha256("\n".join([*said, *targets]).encode()).hexdigest()[:16]

    @cached_property
    def _examples(self) -> str:
        """Fingerprint of what examples are drawn from, where there are any."""
        if not self.task.get_config("num_fewshot"):
            return ""
        docs = self.task.fewshot_docs() or ()
        said = (json.dumps(doc, default=handle_non_serializable, sort_keys=True) for doc in docs)
        return fingerprint([FEWSHOT_SEED, *said])

    @cached_property
    def fingerprint(self) -> str:
        """Of everything that scores depend on but the model."""
        config = {k: v for k, v in self.task.config.to_dict().items() if k not in ("metadata", "dataset_kwargs")}
        said = _ADDRESS.sub("", json.dumps(config, default=str, sort_keys=True))
        asked = [said, self.documents, self._examples, list(self.items), self.metric, self.benchmark.filter]
        asked += [self.benchmark.wants, self.benchmark.rule] if self.benchmark.wants else []
        return fingerprint([*asked, _version(), "benchmark/1"])

    def ready(self) -> None:
        """Begin from the start: the next requests are asked with the same examples as the first time."""
        if self.task.get_config("num_fewshot") is None:
            self.task.set_config(key="num_fewshot", value=0)
        self.task.set_fewshot_seed(seed=FEWSHOT_SEED)

    def plan(self) -> TaskPlan:
        """What it comes to."""
        self.ready()
        requests = characters = 0
        docs = self.task.eval_docs
        few = self.items[:20]
        for i in few:
            # the whole of what is asked, so that a template at fault shows now
            text = self.task.fewshot_context(docs[i], num_fewshot=self.task.get_config("num_fewshot"))
            each = len(self.task.doc_to_choice(docs[i])) if self.task.OUTPUT_TYPE == "multiple_choice" else 1
            requests += each
            characters += each * len(text) if isinstance(text, str) else sum(map(len, text))
        scale = len(self.items) / max(1, len(few))
        kwargs = self.task.get_config("generation_kwargs") or {}
        longest = 0 if self.needs == "log-likelihoods" else int(kwargs.get("max_gen_toks", 256))
        return TaskPlan(
            benchmark=self.benchmark.name,
            task=self.name,
            items=len(self.items),
            of=len(docs),
            needs=self.needs,
            metric=self.metric,
            requests=round(requests * scale),
            characters=round(characters * scale),
            longest=longest,
            fingerprint=self.fingerprint,
        )


class Tasks:
    """lm-eval's tasks by name, and those that come as files."""

    def __init__(self, limit: int | None, seed: int, refuses: Refuses) -> None:
        self._limit, self._seed, self._refuses = limit, seed, refuses

    @cached_property
    def _manager(self) -> Any:
        return TaskManager()

    def load(self, benchmark: Benchmark) -> list[Loaded]:
        """The tasks of a benchmark with their data. NotToBeRunError with what is wrong."""
        try:
            found = dict(self._found(benchmark))
        except NotToBeRunError:
            raise
        except Exception as error:
            raise NotToBeRunError(_obstacle(benchmark, error)) from None
        if not found:
            raise NotToBeRunError(Obstacle(benchmark.name, "task", "it holds no task."))
        counts = {name: len(task.eval_docs) for name, task in found.items()}
        chosen = self._selected(benchmark.name, counts)
        loaded = [Loaded(benchmark, name, task, chosen[name]) for name, task in found.items() if chosen[name]]
        for one in loaded:
            _check(one)
            one.ready()  # which settles how many examples there are, a part of the fingerprint
        return loaded

    def _found(self, benchmark: Benchmark) -> Iterator[tuple[str, Any]]:
        if benchmark.config is not None:
            config = json.loads(benchmark.config)
            if benchmark.wants is not None:
                config["process_results"] = scorer(benchmark.wants, self._refuses)
            yield from self._manager_of_none.load([config])["tasks"].items()
            return
        if benchmark.file is not None:
            yield from self._manager_of_none.load([_resolved(Path(benchmark.file))])["tasks"].items()
            return
        for name in benchmark.tasks:
            if name not in self._manager.task_index:
                known = sorted({*NAMES, *self._manager.task_index})
                meant = tuple(difflib.get_close_matches(name, known, n=3, cutoff=0.6))
                raise NotToBeRunError(Obstacle(benchmark.name, "unknown", f"there is no benchmark '{name}'.", meant))
            yield from self._manager.load([name])["tasks"].items()

    @cached_property
    def _manager_of_none(self) -> Any:
        return TaskManager(include_defaults=False)

    def _selected(self, name: str, counts: Mapping[str, int]) -> dict[str, list[int]]:
        """For each task the items that are asked: all, or as many as are wanted drawn from all tasks together."""
        everything = [(task, i) for task, count in counts.items() for i in range(count)]
        if self._limit is not None and self._limit < len(everything):
            draw = random.Random(f"{self._seed}/{name}")
            everything = draw.sample(everything, self._limit)
        chosen: dict[str, list[int]] = {task: [] for task in counts}
        for task, i in everything:
            chosen[task].append(i)
        return {task: sorted(items) for task, items in chosen.items()}


def _resolved(path: Path) -> dict[str, Any]:
    """A trusted file as lm-eval reads it, its data beginning at its own folder."""
    from lm_eval.tasks._yaml_loader import load_yaml

    config: dict[str, Any] = load_yaml(path, resolve_func=True)
    kwargs = config.get("dataset_kwargs")
    if isinstance(kwargs, dict) and "data_files" in kwargs:
        config["dataset_kwargs"] = {**kwargs, "data_files": _placed(kwargs["data_files"], path.parent)}
    return config


def _placed(files: Any, folder: Path) -> Any:
    if isinstance(files, dict):
        return {split: _placed(some, folder) for split, some in files.items()}
    if isinstance(files, list):
        return [_placed(one, folder) for one in files]
    return str(files) if "://" in str(files) else str(folder / Path(files).expanduser())


def _check(one: Loaded) -> None:
    """NotToBeRunError for a task whose items get no score from 0 to 1 that is better when it is higher, or that runs
    what a model writes."""
    name = one.benchmark.name
    if getattr(one.task, "UNSAFE_CODE", False):
        said = f"its task {one.name} runs the answers of a model as programs, which offtarget never does."
        raise NotToBeRunError(Obstacle(name, "task", said))
    if getattr(one.task, "MULTIMODAL", False):
        raise NotToBeRunError(Obstacle(name, "task", f"its task {one.name} shows pictures or plays sounds."))
    if one.task.OUTPUT_TYPE == "loglikelihood_rolling":
        said = f"its task {one.name} measures perplexity, which gives items no score from 0 to 1."
        raise NotToBeRunError(Obstacle(name, "task", said))
    if one.task.higher_is_better().get(one.metric) is False:  # a model that became worse would seem to gain
        said = f"less of '{one.metric}', which its task {one.name} is scored by, is better; offtarget pairs scores of "
        raise NotToBeRunError(Obstacle(name, "task", f"{said}which more is."))


def _first_metric(task: Any) -> str:
    """The first metric that is better when it is higher; else the first."""
    higher: Mapping[str, bool] = task.higher_is_better()
    return next((name for name, better in higher.items() if better), next(iter(higher), "acc"))


def _obstacle(benchmark: Benchmark, error: Exception) -> Obstacle:
    """Why lm-eval could not load it."""
    known = known_by(benchmark.name)
    said = " ".join(str(error).split())[:300]
    if isinstance(error, ModuleNotFoundError):
        return Obstacle(benchmark.name, "package", f"it needs the package '{error.name}', which is not installed.")
    kinds = {kind.__name__ for kind in type(error).__mro__}
    network = {
        "ConnectionError",
        "OfflineModeIsEnabled",
        "LocalEntryNotFoundError",
        "DatasetNotFoundError",
        "HTTPError",
    }
    if kinds & network or (known is not None and isinstance(error, OSError | ValueError)):
        wants = known.data if known is not None else _named(benchmark)
        return Obstacle(benchmark.name, "data", said, wants)
    if isinstance(error, FileNotFoundError) and benchmark.config is None and benchmark.file is None:
        return Obstacle(benchmark.name, "data", said, _named(benchmark))
    return Obstacle(benchmark.name, "task", f"lm-eval cannot load it ({type(error).__name__}: {said}).")


def _named(benchmark: Benchmark) -> tuple[str, ...]:
    """The data set that a task of its own names."""
    if benchmark.config is not None:
        return (str(json.loads(benchmark.config).get("dataset_path", "")),)
    return ()


def _version() -> str:
    from importlib.metadata import version

    return version("lm-eval")
