"""Every task asked of both models, each kept as soon as it is done. Imports lm-eval: for its own process alone.

What is kept are lm-eval's own `samples_*.jsonl`, and beside each a file of scores that is written last: where it is
there and fits, the task is not asked again.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.evaluator import evaluate
from lm_eval.loggers import EvaluationTracker

from offtarget.asking.cache import cache_root
from offtarget.asking.spending import add
from offtarget.benchmarks.asked import Asked
from offtarget.benchmarks.harness import Harnessed
from offtarget.benchmarks.safety import MOST_EMPTY, Refuses, spoken
from offtarget.benchmarks.scores import kept_scores, scores_file
from offtarget.benchmarks.tasks import Loaded, NotToBeRunError, Tasks, seal_templates
from offtarget.benchmarks.wire import Teller
from offtarget.errors import InputError, OfftargetError
from offtarget.records.answers import Role
from offtarget.records.benchmark_runs import Job, Obstacle, Scores
from offtarget.rundir import fingerprint, write_json

_log = logging.getLogger(__name__)


def look(job: Job, refuses: Refuses, teller: Teller) -> None:
    """Load every task and say what it comes to, or why it cannot be run; no model is asked."""
    seal_templates()
    tasks = Tasks(job.limit, job.seed, refuses)
    for benchmark in job.benchmarks:
        try:
            for one in tasks.load(benchmark):
                teller.tell("plan", plan=_planned(one))
        except NotToBeRunError as error:
            teller.tell("obstacle", obstacle=error.obstacle)


def run(job: Job, asked: Mapping[Role, Asked], refuses: Refuses, teller: Teller) -> None:
    """Ask both models every task, the base first, and keep what they scored."""
    seal_templates()
    for torn in Path(job.folder).glob("*/.part-*"):
        shutil.rmtree(torn, ignore_errors=True)
    tasks = Tasks(job.limit, job.seed, refuses)
    planned = {(plan.benchmark, plan.task): plan.fingerprint for plan in job.plans}
    for benchmark in job.benchmarks:
        if benchmark.name in job.skip:
            continue
        try:
            for one in tasks.load(benchmark):
                if planned.get((benchmark.name, one.name)) != one.fingerprint:
                    raise InputError(
                        f"The items of {one.name}, or the way they are asked, are no longer what they were when the "
                        "check began. Put them back, or start a new check."
                    )
                for role in ("base", "tuned"):
                    _ask(job, one, role, asked[role], teller)
        except NotToBeRunError as error:
            teller.tell("obstacle", obstacle=error.obstacle)


def _planned(one: Loaded) -> object:
    try:
        return one.plan()
    except Exception as error:
        raise NotToBeRunError(_at_fault(one, error)) from error


def _ask(job: Job, one: Loaded, role: Role, asked: Asked, teller: Teller) -> None:
    """One task of one model: as kept in the run, else as kept between runs, else asked now."""
    folder = Path(job.folder) / role
    folder.mkdir(parents=True, exist_ok=True)
    where = {"benchmark": one.benchmark.name, "task": one.name, "role": role}
    mine = one.benchmark.name, one.name
    kept = kept_scores(folder, *mine)
    if kept is not None and (kept.fingerprint, kept.model) == (one.fingerprint, asked.fingerprint):
        teller.tell("done", **where, new=False)
        return
    cache = cache_root() / "benchmarks" / fingerprint([asked.fingerprint, one.fingerprint])
    if role == "base" and job.cache and (cached := kept_scores(cache, *mine)) is not None:
        shutil.copyfile(cache / cached.samples, folder / cached.samples)
        write_json(scores_file(folder, *mine), cached)
        teller.tell("done", **where, new=False)
        return
    if one.needs == "log-likelihoods" and not asked.gives_likelihoods:
        said = f"{asked.name} is behind an endpoint, which does not say how probable given answers are."
        raise NotToBeRunError(Obstacle(one.benchmark.name, "task", said))
    before = asked.spent
    scores = _asked(job, one, asked, folder, lambda count: teller.tell("at", **where, more=count))
    write_json(scores_file(folder, *mine), scores)
    if role == "base" and job.cache:
        _keep(cache, folder, scores)
    add(asked.spent.since(before))
    teller.tell("done", **where, new=True)


def _asked(job: Job, one: Loaded, asked: Asked, folder: Path, on_done: Any) -> Scores:
    """Ask a task of a model; the samples are on disk when this returns."""
    one.ready()
    random.seed(0)  # as lm-eval's own command does, for tasks that draw
    np.random.seed(1234)
    everything = len(one.items) == len(one.task.eval_docs)
    try:
        results = evaluate(
            lm=Harnessed(asked, job.seed, on_done),
            task_dict={"tasks": {one.name: one.task}, "groups": {}, "group_map": {}},
            samples=None if everything else {one.name: list(one.items)},
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=True,
            fewshot_as_multiturn=True,
        )
        samples = results["samples"][one.name]
        read = [sample for sample in samples if sample["filter"] == (one.benchmark.filter or samples[0]["filter"])]
        items = {str(sample["doc_id"]): _score(one, sample) for sample in read}
        prompts = fingerprint([[sample["doc_id"], sample["prompt_hash"]] for sample in read])
    except (NotToBeRunError, OfftargetError, MemoryError):
        raise
    except Exception as error:
        _log.exception("%s", one.name)
        raise NotToBeRunError(_at_fault(one, error)) from error
    if sorted(map(int, items)) != list(one.items):
        said = f"lm-eval gave {len(items):,} scores for the {len(one.items):,} items of {one.name}."
        raise NotToBeRunError(Obstacle(one.benchmark.name, "task", said))
    if one.benchmark.wants is not None:
        _check_words(one, asked.name, read)
    file = _written(one, samples, folder)
    return Scores(
        benchmark=one.benchmark.name,
        task=one.name,
        metric=one.metric,
        model=asked.fingerprint,
        fingerprint=one.fingerprint,
        samples=file.name,
        samples_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        items=items,
        template=asked.template,
        prompts=prompts,
        documents=one.documents,
    )


def _score(one: Loaded, sample: Mapping[str, Any]) -> float:
    value = sample.get(one.metric)
    if isinstance(value, bool | int | float | np.number) and math.isfinite(value) and 0 <= value <= 1:
        return float(value)
    said = f"its metric '{one.metric}' does not score items from 0 to 1; item {sample['doc_id']} has {value!r}."
    raise NotToBeRunError(Obstacle(one.benchmark.name, "task", said))


def _check_words(one: Loaded, model: str, samples: list[dict[str, Any]]) -> None:
    """NotToBeRunError where so many answers hold no words that equal scores of both models would mean nothing."""
    empty = sum(not spoken(str(sample["filtered_resps"][0])) for sample in samples)
    if empty > MOST_EMPTY * len(samples):
        said = (
            f"{empty:,} of {len(samples):,} answers of {model} hold no words, or thinking that does not end: whether "
            "they refuse cannot be said. Give answers more room with --max-tokens."
        )
        raise NotToBeRunError(Obstacle(one.benchmark.name, "task", said))


def _written(one: Loaded, samples: list[dict[str, Any]], folder: Path) -> Path:
    """The samples in lm-eval's own format, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        tracker = EvaluationTracker(output_path=part)
        tracker.date_id = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
        tracker.save_results_samples(re.sub(r"[^\w.-]+", "_", one.name), samples)
        written = next(Path(part).glob("**/samples_*.jsonl"))
        return written.replace(folder / written.name)


def _keep(cache: Path, folder: Path, scores: Scores) -> None:
    """Between runs. A cache that cannot be written is no reason to fail."""
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".part-") as part:
            shutil.copyfile(folder / scores.samples, Path(part) / scores.samples).replace(cache / scores.samples)
        write_json(scores_file(cache, scores.benchmark, scores.task), scores)


def _at_fault(one: Loaded, error: Exception) -> Obstacle:
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Obstacle(one.benchmark.name, "task", f"its task {one.name} fails ({said}).")
