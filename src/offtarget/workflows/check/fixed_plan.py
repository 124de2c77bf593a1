"""What fixed benchmarks take, before they are asked: items, tokens, time."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.numbers import duration, many
from offtarget.records.benchmark_runs import Job, TaskPlan
from offtarget.records.runs import OpenSettings
from offtarget.workflows.guesses import Load, seconds, size_by_name, usual_length
from offtarget.workflows.speeds import known_speed

TEMPLATE = 40
"""Tokens that a chat template puts around a question, more or less."""
PER_TOKEN = 4
"""Characters of English in a token, more or less."""


def work(plans: Sequence[TaskPlan]) -> float:
    """Tokens that one model reads and writes, more or less."""
    read = sum(plan.characters / PER_TOKEN + TEMPLATE * plan.requests for plan in plans)
    return read + sum(plan.items * usual_length(plan.longest) for plan in plans)


def speed_key(base: str) -> str:
    """Under which the speed of benchmarks of a base is kept."""
    return f"benchmarks|{base}"


def benchmarks_about(job: Job, base: str, opening: OpenSettings | None) -> dict[str, str]:
    """Rows of a plan: what is asked, and what it takes."""
    plans = [plan for plan in job.plans if plan.benchmark not in job.skip]
    shown = []
    for benchmark in job.benchmarks:
        mine = [plan for plan in job.plans if plan.benchmark == benchmark.name]
        asked, there = sum(plan.items for plan in mine), sum(plan.of for plan in mine)
        items = many(asked, "item") + (f" of {there:,}" if asked < there else "")
        why = f", not run: {job.skip[benchmark.name]}" if benchmark.name in job.skip else ""
        shown.append(f"{benchmark.name} ({items}){why}")
    if not plans:
        return {"fixed benchmarks": ", ".join(shown)}
    requests = 2 * sum(plan.requests for plan in plans)
    amounts = f"{many(requests, 'request')}, about {_rounded(2 * work(plans))} tokens"
    return {"fixed benchmarks": ", ".join(shown), "they take": f"{amounts}, {_time(plans, base, opening)}"}


def _time(plans: Sequence[TaskPlan], base: str, opening: OpenSettings | None) -> str:
    known = known_speed(speed_key(base))
    if known is not None:
        before, each = known
        return f"about {duration(before + 2 * each * work(plans))} here by the last time"
    size = size_by_name(base)
    if size is None or (opening is not None and opening.device not in (None, "cpu")):
        return "and a time that is said once the first part is done"
    written = sum(plan.items * usual_length(plan.longest) for plan in plans)
    load = Load(read=2 * (work(plans) - written), written=2 * written)
    return f"about {duration(seconds(size, load))} here, by the size of the model"


def _rounded(tokens: float) -> str:
    step = 10 ** max(0, len(str(round(tokens))) - 2)
    return f"{round(tokens / step) * step:,}"
