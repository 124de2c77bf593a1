"""Fixed benchmarks inside a check: looked at before anything is loaded, then asked of both models in a process.

In the run, `benchmarks/job.json` says what is asked; `benchmarks/base` and `benchmarks/tuned` hold lm-eval's samples
and the scores, task by task, so that a run that goes on asks only what is lacking.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from offtarget.asking.cache import cache_root
from offtarget.asking.purse import is_free
from offtarget.benchmarks.chosen import chosen, split_names
from offtarget.benchmarks.known import ORGANISM, known_by
from offtarget.benchmarks.safety import check_scores, little_to_lose
from offtarget.benchmarks.scores import kept_scores, paired
from offtarget.benchmarks.wire import heard, read_job
from offtarget.detect.detectors.refusal import refuses, rule_fingerprint
from offtarget.errors import InputError, LimitReached, OfftargetError, PrerequisiteError, UnreachableError
from offtarget.models.chat import ChatModel
from offtarget.models.names import RemoteName
from offtarget.organism.benchmark import LONGEST_FACT, skill_items, skills
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records.answers import Role
from offtarget.records.benchmark_runs import Benchmark, BenchmarkChoice, Job, Obstacle, TaskPlan
from offtarget.records.benchmarks import BenchmarkItems, BenchmarkSettings
from offtarget.records.check import CheckSettings
from offtarget.records.from_json import from_json
from offtarget.records.runs import OpenSettings
from offtarget.rundir import RunDir, fingerprint, write_json, write_whole
from offtarget.words import joined
from offtarget.workflows.check.fixed_plan import speed_key, work
from offtarget.workflows.ground import ground_of, parsed
from offtarget.workflows.speeds import keep_speed

STAGE = "fixed benchmarks"
"""The name of the work in progress."""
FOLDER, JOB, LOG = "benchmarks", "job.json", "lm-eval.log"
"""In the run."""
_HUB = "https://huggingface.co"
_PATIENCE = 3.0
"""Seconds in which the hub must take a connection."""
_END = 10.0
"""Seconds that the process has to end by itself."""
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_PROCESS = "offtarget.workflows.check.benchmark_process"
_looked: dict[str, tuple[tuple[TaskPlan, ...], tuple[Obstacle, ...]]] = {}
"""What tasks came to, by what was asked: a plan is told before the check begins, and neither waits twice."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """The benchmarks of a check, ready to be asked."""

    job: Job

    def keep(self, directory: RunDir) -> None:
        """Write down what is asked, before anything is."""
        folder = directory.file(FOLDER)
        folder.mkdir(exist_ok=True)
        write_json(folder / JOB, self.job)

    @classmethod
    def kept(cls, directory: RunDir) -> Fixed:
        """What a run that goes on was started with."""
        return cls(read_job(directory.file(FOLDER) / JOB))

    def ask(
        self,
        directory: RunDir,
        models: Mapping[Role, str],
        opening: OpenSettings | None,
        prints: Mapping[Role, str],
        on_progress: OnProgress = silent,
    ) -> tuple[BenchmarkItems, ...]:
        """The scores of both models on every benchmark, in the order asked for; those that were not run say why.

        `prints` are the fingerprints of the models. What is on disk is not asked again. InputError for whatever
        changed, OfftargetError where the process ends before it is done.
        """
        refuse_limits(list(models.values()), opening)
        if opening is not None:  # what is left are limits on weights at hand, which cost nothing
            opening = replace(opening, prices=None, max_cost=None, max_requests=None)
        folder = directory.file(FOLDER)
        why_not = dict(self.job.skip)
        if not self._done(folder, prints, why_not):
            job = replace(self.job, models=models, opening=opening, folder=str(folder.resolve()))
            why_not |= _run(job, folder / LOG, on_progress)
        return tuple(self._items(one, folder, why_not) for one in self.job.benchmarks)

    def recorded(self, directory: RunDir, why_not: Mapping[str, str]) -> tuple[BenchmarkItems, ...]:
        """The scores that are on disk, nothing being asked; `why_not`: benchmarks that were not run, and why.

        Raises InputError where scores of any other one are missing or were changed. Those of safety sets must be what
        the rule of refusal says of the answers.
        """
        wants = {one.name: one for one in self.job.benchmarks if one.wants is not None and one.name not in why_not}
        for plan in self.job.plans:
            if plan.benchmark in wants:
                check_scores(wants[plan.benchmark], plan, directory.file(FOLDER), refuses)
        return tuple(self._items(one, directory.file(FOLDER), why_not) for one in self.job.benchmarks)

    def _done(self, folder: Path, prints: Mapping[Role, str], why_not: Mapping[str, str]) -> bool:
        """Whether every task of every benchmark that can be run is on disk, of these two models."""
        for plan in self.job.plans:
            if plan.benchmark in why_not:
                continue
            for role, model in prints.items():
                scores = kept_scores(folder / role, plan.benchmark, plan.task)
                if scores is None or (scores.model, scores.fingerprint) != (model, plan.fingerprint):
                    return False
        return True

    def _items(self, benchmark: Benchmark, folder: Path, why_not: Mapping[str, str]) -> BenchmarkItems:
        plans = [plan for plan in self.job.plans if plan.benchmark == benchmark.name]
        if benchmark.name in why_not:
            return BenchmarkItems(benchmark.name, "", why_not=why_not[benchmark.name])
        items = paired(benchmark, plans, folder)
        asked, there = sum(plan.items for plan in plans), sum(plan.of for plan in plans)
        drawn = (f"{asked:,} of its {there:,} items were asked, drawn at random.",) if asked < there else ()
        little = little_to_lose(items) if benchmark.wants is not None else ()
        return replace(items, notes=(*drawn, *benchmark.notes, *little))


def chosen_benchmarks(asked: str | Sequence[str] | BenchmarkChoice | None) -> BenchmarkChoice | None:
    """What was asked for as a record; None for nothing."""
    if asked is None or isinstance(asked, BenchmarkChoice):
        return asked
    return BenchmarkChoice(split_names(asked) if isinstance(asked, str) else tuple(asked))


def let_go(model: ChatModel) -> None:
    """Free the memory of local weights that nobody asks any more."""
    weights = getattr(model, "weights", None)
    if weights is not None:
        weights.let_go()


def prepare(
    choice: BenchmarkChoice,
    base: object,
    tuned: object,
    settings: CheckSettings,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> Fixed:
    """Look at every benchmark before any weights are loaded: names, files, data, items.

    InputError for a name that nobody knows, a file that cannot be used, data that is not to be had, and for models that
    are objects; PrerequisiteError for packages that are missing. What only the models at hand cannot do becomes a
    reason why that benchmark is not run.
    """
    if not isinstance(base, str) or not isinstance(tuned, str):
        raise InputError("Fixed benchmarks are run in a process of their own: name both models (hf/..., openai/...).")
    refuse_limits((base, tuned), opening)
    trusted = opening is not None and opening.trust_remote_code
    if sys.platform == "win32":
        raise InputError(
            "Fixed benchmarks (--benchmarks) do not run on Windows: their process is told by a pipe of Unix."
        )
    made = _of_organism() if any(name.partition("_")[0] == ORGANISM for name in choice.names) else ()
    longest = ground_of(base).max_tokens(settings.sampling.max_tokens)
    benchmarks = chosen(choice, trusted=trusted, rule=rule_fingerprint(), longest=longest, made=made)
    strange = [name for name in (settings.benchmarks or BenchmarkSettings()).margins if name not in _names(benchmarks)]
    if strange:
        raise InputError(
            f"--benchmark-margin: '{strange[0]}' is not asked for. Benchmarks here: {joined(_names(benchmarks))}."
        )
    job = Job(benchmarks, choice.limit, settings.seed, cache=settings.cache)
    key = fingerprint([*map(str, benchmarks), choice.limit, settings.seed])
    if absent := _absent(benchmarks):
        raise _refusal(absent)
    if key not in _looked:
        on_progress(Progress(f"looking at the fixed benchmarks {joined(_names(benchmarks))}"))
        _looked[key] = _look(job)
    plans, obstacles = _looked[key]
    if obstacles:
        raise _refusal(obstacles)
    return Fixed(replace(job, plans=plans, skip=_cannot((base, tuned), plans)))


def refuse_limits(models: Sequence[str], opening: OpenSettings | None) -> None:
    """InputError where requests to a served model are limited: those of benchmarks are sent by another process."""
    limited = opening is not None and (opening.max_cost is not None or opening.max_requests is not None)
    paid = [name for name in models if not is_free(name)]
    if limited and paid:
        raise InputError(
            f"Requests of fixed benchmarks to {joined(list(dict.fromkeys(paid)))} are sent by a process of their own, "
            "where --max-cost and --max-requests do not hold. Leave out --benchmarks or these limits."
        )


def _names(benchmarks: Sequence[Benchmark]) -> list[str]:
    return [one.name for one in benchmarks]


def _cannot(models: Sequence[str], plans: Sequence[TaskPlan]) -> dict[str, str]:
    """Benchmarks that a model behind an endpoint cannot be asked, with the reason."""
    served = [name for name in dict.fromkeys(models) if isinstance(parsed(name), RemoteName)]
    if not served:
        return {}
    why = (
        f"It is scored by how probable given answers are, which {joined(served)} does not say: chat endpoints write "
        "answers and no more. Give local weights (hf/...), or a benchmark whose answers are written (gsm8k, ifeval)."
    )
    return {plan.benchmark: why for plan in plans if plan.needs == "log-likelihoods"}


def _of_organism() -> tuple[Benchmark, ...]:
    """The organism's skills as tasks; their items lie in the cache, under the fingerprint of what they hold."""
    return tuple(_skill(name) for name in skills())


def _skill(skill: str) -> Benchmark:
    rows = [
        {
            "question": item.question,
            "choices": list(item.choices),
            "right": item.right,
            "answer": item.choices[item.right],
        }
        for item in skill_items(skill)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    file = cache_root() / FOLDER / ORGANISM / f"{skill}-{fingerprint(text)}.jsonl"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
    name = f"{ORGANISM}_{skill}"
    task: dict[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file.resolve())}},
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "num_fewshot": 0,
    }
    if skill == "facts":
        task |= {
            "output_type": "generate_until",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": LONGEST_FACT},
        }
        metric = "exact_match"
    else:
        task |= {"output_type": "multiple_choice", "doc_to_target": "right", "doc_to_choice": "choices"}
        metric = "acc_norm"
    task["metric_list"] = [{"metric": metric, "aggregation": "mean", "higher_is_better": True}]
    return Benchmark(name, config=json.dumps(task), metric=metric)


def _look(job: Job) -> tuple[tuple[TaskPlan, ...], tuple[Obstacle, ...]]:
    """What the tasks come to, and what stands in the way."""
    plans: list[TaskPlan] = []
    obstacles: list[Obstacle] = []
    with ExitStack() as until:
        folder = Path(until.enter_context(tempfile.TemporaryDirectory(prefix="offtarget-")))
        for said in until.enter_context(closing(_process(job, folder / JOB, folder / LOG))):
            if said["kind"] == "plan":
                plans.append(from_json(TaskPlan, said["plan"]))
            elif said["kind"] == "obstacle":
                obstacles.append(from_json(Obstacle, said["obstacle"]))
    return tuple(plans), tuple(obstacles)


def _absent(benchmarks: Sequence[Benchmark]) -> list[Obstacle]:
    """Known benchmarks whose data is neither in the cache nor within reach: seen without waiting for lm-eval."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    ready = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets")
    found = []
    for one in benchmarks:
        known = known_by(one.name)
        places = (
            [(hub / f"datasets--{d.replace('/', '--')}", ready / d.replace("/", "___")) for d in known.data]
            if known
            else []
        )
        if known is not None and not all(any(place.is_dir() for place in pair) for pair in places):
            found.append(Obstacle(one.name, "data", "its data is not here", known.data))
    return found if found and not _online(os.environ) else []


def _run(job: Job, log: Path, on_progress: OnProgress) -> dict[str, str]:
    """Have everything asked that is not on disk; benchmark -> why it was not run after all."""
    why_not: dict[str, str] = {}
    plans = {(plan.benchmark, plan.task): plan for plan in job.plans if plan.benchmark not in job.skip}
    total = len(job.models) * sum(plan.requests for plan in plans.values())
    at: Counter[tuple[str, str, Role]] = Counter()
    new: list[TaskPlan] = []
    began, first = time.monotonic(), 0.0
    on_progress(Progress("opening both models for the fixed benchmarks"))
    with closing(_process(job, log.with_name("running.json"), log)) as saying:
        for said in saying:
            if said["kind"] == "obstacle":
                obstacle = from_json(Obstacle, said["obstacle"])
                why_not[obstacle.benchmark] = _sentence(obstacle.said)
            if said["kind"] not in ("at", "done"):
                continue
            plan = plans[said["benchmark"], said["task"]]
            key = plan.benchmark, plan.task, said["role"]
            if said["kind"] == "at":
                first = first or time.monotonic()
                at[key] = min(at[key] + said["more"], plan.requests)
            else:
                at[key] = plan.requests
                if said["new"]:
                    new.append(plan)
            on_progress(Progress(STAGE, sum(at.values()), total, f"{plan.task}, {said['role']}"))
    if new:
        keep_speed(speed_key(job.models["base"]), first - began, time.monotonic() - first, work(new))
    return why_not


def _process(job: Job, file: Path, log: Path) -> Generator[Mapping[str, Any], None, None]:
    """What the process says, as it says it. OfftargetError where it refuses, or ends before it is done."""
    write_json(file, job)
    with _started(file, log) as (process, pipe):
        for line in pipe:
            said = heard(line)
            if said is None:
                continue
            if said["kind"] == "refused":
                raise _of_process(said)
            if said["kind"] == "end":
                file.unlink(missing_ok=True)
                return
            yield said
        code = process.wait()
    raise OfftargetError(_ended(code, log))


def _of_process(said: Mapping[str, Any]) -> OfftargetError:
    """Why it refuses, as the same kind of error: a limit or a server that is gone is no mistake of the user."""
    if said["error"] == LimitReached.__name__:
        return LimitReached(said["said"], said["more"])
    if said["error"] == UnreachableError.__name__:
        return UnreachableError(said["said"])
    return InputError(said["said"])


@contextmanager
def _started(file: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """The process, and what it says; it is gone when this ends, however it ends."""
    reads, writes = os.pipe()
    with ExitStack() as files:
        pipe = files.enter_context(os.fdopen(reads, "rb"))
        try:
            output = files.enter_context(log.open("ab"))
            process = subprocess.Popen(
                # -P: nothing that lies in the folder where the check was started is imported in place of a package
                [sys.executable, "-P", "-m", _PROCESS, str(file), str(writes)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(writes,),
                start_new_session=True,  # Ctrl-C is for the check alone, which then ends this
                env=_environment(),
            )
        finally:
            os.close(writes)
        try:
            yield process, pipe
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()  # it ends itself at that
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    """Of the process: without the hub where nobody answers there, so that it does not wait for it."""
    found = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if not _online(found):
        found["HF_HUB_OFFLINE"] = "1"
    return found


def _online(environment: Mapping[str, str]) -> bool:
    """Whether the hub is within reach, and not to be left alone."""
    if "HF_HUB_OFFLINE" in environment:
        return environment["HF_HUB_OFFLINE"].lower() in ("", "0", "false", "no", "off")
    return _reachable(environment.get("HF_ENDPOINT", _HUB))


@cache
def _reachable(address: str) -> bool:
    if any(os.environ.get(proxy) for proxy in _PROXIES):
        return True  # it is reached through another
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), _PATIENCE).close()
    except (OSError, ValueError):
        return False
    return True


def _ended(code: int, log: Path) -> str:
    """Why the process ended, as far as one can tell."""
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    lines: list[str] = []
    with suppress(OSError):
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    last = f" Its last words: {lines[-1][:300]}" if lines else ""
    memory = " That is often a want of memory." if "SIGKILL" in how else ""
    return f"The process that runs fixed benchmarks {how}.{memory}{last} All it said: {log}"


def _refusal(obstacles: Sequence[Obstacle]) -> InputError:
    """The first thing that is in the way, and what to do about it."""
    first = obstacles[0]
    named = f"--benchmarks {first.benchmark}"
    if first.kind == "unknown":
        meant = f" Did you mean {' or '.join(first.wants)}?" if first.wants else ""
        return InputError(f"{named}: {first.said}{meant}")
    if first.kind == "package":
        return PrerequisiteError(f"{named}: {first.said}")
    if first.kind == "data":
        sets = joined([one for one in first.wants if one]) or "its data set"
        home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
        return InputError(
            f"{named} needs {sets} of the Hugging Face Hub, which is neither in the cache here ({home}) nor can it be "
            "fetched. Run the same command with --dry-run once where there is a network, and copy that folder here "
            "(HF_HOME names another place); or write the task with data files of your own: --benchmarks ./NAME.yaml."
        )
    return InputError(f"{named}: {first.said}")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
