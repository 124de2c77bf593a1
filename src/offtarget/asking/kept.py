"""Judged answers in a folder: what lies there is not asked or judged again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from offtarget.asking.ask import SeedOf, Wanted, ask, judge_answers
from offtarget.asking.protocol import Judge
from offtarget.models.chat import ChatModel
from offtarget.progress import Count, OnProgress, silent
from offtarget.records import Generation, Role, SamplingSettings, Verdict
from offtarget.rundir import JsonLines, read_jsonl


def kept_verdicts(
    folder: Path,
    role: Role,
    model: Callable[[], ChatModel],
    wanted: Sequence[Wanted],
    judge: Judge,
    sampling: SamplingSettings,
    seed_of: SeedOf,
    on_progress: OnProgress = silent,
) -> list[Verdict]:
    """A verdict on each wanted answer, in order; `model` is opened only where answers are missing.

    Answers and verdicts are on disk in `folder` as soon as they exist. Raises InputError as `ask` and `judge_answers`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generations, verdicts = JsonLines(folder / "generations.jsonl"), JsonLines(folder / "verdicts.jsonl")
    try:
        said = {(g.probe_id, g.index): g for g in read_jsonl(generations.path, Generation)}

        def keep(generation: Generation) -> None:
            generations.extend([generation])
            said[generation.probe_id, generation.index] = generation

        if missing := [(probe, index) for probe, index in wanted if (probe.id, index) not in said]:
            told = Count(on_progress, "answers", len(missing))
            ask(role, model(), missing, sampling, seed_of, keep=keep, told=told)
        judged = {(v.probe_id, v.index): v for v in read_jsonl(verdicts.path, Verdict)}
        todo = [(probe, said[probe.id, index]) for probe, index in wanted if (probe.id, index) not in judged]
        told = Count(on_progress, "judging", len(todo))
        judged |= {(v.probe_id, v.index): v for v in judge_answers(judge, todo, keep=verdicts.extend, told=told)}
    finally:
        generations.close()
        verdicts.close()
    return [judged[probe.id, index] for probe, index in wanted]
