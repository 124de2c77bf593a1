"""Scores on disk, and the pairs that those of two models make."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, OfftargetError
from offtarget.records.answers import Role
from offtarget.records.benchmark_runs import Benchmark, Scores, TaskPlan
from offtarget.records.benchmarks import BenchmarkItems, ItemPair
from offtarget.rundir import fingerprint, read_record


def scores_file(folder: Path, benchmark: str, task: str) -> Path:
    """Where the scores of a task of a benchmark are kept."""
    name = task if task == benchmark else f"{benchmark}--{task}"
    return folder / f"{re.sub(r'[^a-zA-Z0-9_.-]+', '_', name)}.scores.json"


def kept_scores(folder: Path, benchmark: str, task: str) -> Scores | None:
    """The scores of a task that is done; None where it is not, or where its files were changed or torn.

    Each score must be the one that lm-eval's samples beside it hold.
    """
    file = scores_file(folder, benchmark, task)
    if not file.is_file():
        return None
    try:
        scores = read_record(file, Scores)
        samples = (folder / scores.samples).read_bytes()
        whole = hashlib.sha256(samples).hexdigest() == scores.samples_sha256 and _says(samples, scores)
    except (OSError, OfftargetError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return scores if whole else None


def _says(samples: bytes, scores: Scores) -> bool:
    """Whether samples of lm-eval say of every item what the scores say, under one of its filters."""
    by_filter: dict[str, dict[str, float]] = {}
    for line in samples.splitlines():
        row = json.loads(line)
        by_filter.setdefault(str(row["filter"]), {})[str(row["doc_id"])] = _number(row.get(scores.metric))
    return any(
        said.keys() == scores.items.keys()
        and all(math.isclose(said[item], score, abs_tol=1e-6) for item, score in scores.items.items())
        for said in by_filter.values()
    )


def _number(value: Any) -> float:
    """A score as lm-eval writes it: a number of numpy may have become a word. NaN for none."""
    return {"True": 1.0, "False": 0.0, None: math.nan}[value] if value in ("True", "False", None) else float(value)


def paired(benchmark: Benchmark, plans: Sequence[TaskPlan], folder: Path) -> BenchmarkItems:
    """All items of a benchmark, each with both scores.

    InputError where the two models were not asked the same items, with the same right answers, or not all that were
    planned: what is not a pair is not counted, and nothing is left out silently.
    """
    pairs: list[ItemPair] = []
    held: dict[Role, list[str]] = {"base": [], "tuned": []}
    metrics = []
    for plan in plans:
        both = {role: kept_scores(folder / role, plan.benchmark, plan.task) for role in held}
        base, tuned = both["base"], both["tuned"]
        if base is None or tuned is None:
            raise InputError(f"{folder}: the scores of {plan.task} are not there. Go on with the run to have it asked.")
        _alike(folder, plan, base, tuned)
        more = len(plans) > 1
        pairs += [
            ItemPair(f"{plan.task}/{item}" if more else item, score, tuned.items[item], benchmark.name)
            for item, score in sorted(base.items.items(), key=lambda one: int(one[0]))
        ]
        metrics.append(base.metric)
        for role, scores in (("base", base), ("tuned", tuned)):
            held[role] += [scores.model, scores.fingerprint, scores.samples_sha256]  # type: ignore[index]
    prints: Mapping[Role, str] = {role: fingerprint(parts) for role, parts in held.items()}
    return BenchmarkItems(
        benchmark.name, metrics[0], tuple(pairs), base_fingerprint=prints["base"], tuned_fingerprint=prints["tuned"]
    )


def _alike(folder: Path, plan: TaskPlan, base: Scores, tuned: Scores) -> None:
    """InputError unless both were asked the same."""
    unlike = []
    if base.documents != tuned.documents or set(base.items) != set(tuned.items):
        unlike.append("other items")
    if base.fingerprint != tuned.fingerprint or base.metric != tuned.metric:
        unlike.append("another form of the task")
    if base.template == tuned.template and base.prompts != tuned.prompts:
        unlike.append("in other words")
    if unlike:
        raise InputError(
            f"{folder}: base and tuned model were asked {' and '.join(unlike)} of {plan.task}, so their scores are no "
            "pairs. Remove that folder and resume the run: both are asked again."
        )
    if len(base.items) != plan.items:
        raise InputError(f"{folder}: {plan.task} has {len(base.items):,} scores for {plan.items:,} items.")
