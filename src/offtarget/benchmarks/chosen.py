"""From what was asked for (`mmlu,./mine.yaml`) to benchmarks; mistakes show before anything is loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from offtarget.benchmarks.known import known_by
from offtarget.benchmarks.own import find_task, read_task
from offtarget.benchmarks.safety import safety_benchmarks
from offtarget.data.safety_sets import SUFFIXES, is_safety_file
from offtarget.errors import InputError, PrerequisiteError
from offtarget.records.benchmark_runs import Benchmark, BenchmarkChoice

_FILES = (".yaml", ".yml")
_SAFETY = {
    "xstest": "their paper is arXiv 2308.01263",
    "strongreject": "their paper is arXiv 2402.10260",
    "wildguard": "their paper is arXiv 2406.18495",
}
"""Safety sets that are read from files, and who wrote them."""


def chosen(
    choice: BenchmarkChoice, *, trusted: bool, rule: str, longest: int, made: Sequence[Benchmark] = ()
) -> tuple[Benchmark, ...]:
    """The benchmarks that were asked for, each once, in that order; names that only lm-eval knows are left to it.

    `made` are those that stand for a name here and come as tasks already; `rule` and `longest` are for safety sets, as
    in `safety_benchmarks`. PrerequisiteError without lm-eval or without
    what a benchmark needs to score; InputError for files that cannot be used and for a benchmark named twice.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise PrerequisiteError.for_extra("lm-eval", "bench", "Fixed benchmarks (--benchmarks)")
    found: dict[str, Benchmark] = {}
    for name in choice.names:
        of_file = safety_benchmarks(Path(name), rule, longest) if is_safety_file(name) else None
        for one in of_file or _of(name, choice, trusted, made):
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
    if name.lower() in _SAFETY:
        raise InputError(
            f"--benchmarks {name}: this set does not come with offtarget. Fetch it from its authors "
            f"({_SAFETY[name.lower()]}) and name the file: --benchmarks ./{name}.csv."
        )
    if Path(name).exists() or "/" in name:
        raise InputError(
            f"--benchmarks: '{name}' is no benchmark's name, nor a task's file in lm-eval's format (NAME.yaml), nor a "
            f"safety set ({', '.join(SUFFIXES)})."
        )
    return [Benchmark(name, (name,))]
