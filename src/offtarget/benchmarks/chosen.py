"""From what was asked for (`mmlu,./mine.yaml`) to benchmarks; mistakes show before anything is loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from offtarget.benchmarks.known import known_by
from offtarget.benchmarks.own import find_task, read_task
from offtarget.errors import InputError, PrerequisiteError
from offtarget.records.benchmark_runs import Benchmark, BenchmarkChoice

_FILES = (".yaml", ".yml")


def chosen(choice: BenchmarkChoice, *, trusted: bool, made: Sequence[Benchmark] = ()) -> tuple[Benchmark, ...]:
    """The benchmarks that were asked for, each once, in that order; names that only lm-eval knows are left to it.

    `made` are those that stand for a name here and come as tasks already. PrerequisiteError without lm-eval or without
    what a benchmark needs to score; InputError for files that cannot be used and for a benchmark named twice.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise PrerequisiteError.for_extra("lm-eval", "bench", "Fixed benchmarks (--benchmarks)")
    found: dict[str, Benchmark] = {}
    for name in choice.names:
        for one in _of(name, choice, trusted, made):
            if one.name in found:
                raise InputError(f"--benchmarks: '{one.name}' is asked for twice. Name it once.")
            found[one.name] = one
    return tuple(found.values())


def split_names(text: str) -> tuple[str, ...]:
    """`mmlu, ./mine.yaml` taken apart at its commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _of(name: str, choice: BenchmarkChoice, trusted: bool, made: Sequence[Benchmark]) -> Sequence[Benchmark]:
    own = [one for one in made if name in (one.name, one.name.partition("_")[0])]
    if own:
        return own
    if name.endswith(_FILES):
        return [read_task(Path(name), trusted=trusted)]
    known = known_by(name)
    if known is not None:
        missing = [package for package in known.packages if importlib.util.find_spec(package) is None]
        if missing:
            raise PrerequisiteError(
                f"--benchmarks {name}: its scoring needs the packages {', '.join(missing)}. Install them with: "
                f"pip install 'lm-eval[{name}]'"
            )
        return [Benchmark(known.name, known.tasks, metric=known.metric, filter=known.filter)]
    if choice.include is not None:
        folder = Path(choice.include).expanduser()
        if not folder.is_dir():
            raise InputError(f"--include-path: {folder} is not a folder.")
        found = find_task(folder, name, trusted=trusted)
        if found is not None:
            return [found]
    if Path(name).exists() or "/" in name:
        raise InputError(
            f"--benchmarks: '{name}' is no benchmark's name, nor a task's file in lm-eval's format (NAME.yaml)."
        )
    return [Benchmark(name, (name,))]
