"""Verdicts of a judge on answers, kept in a folder and asked for once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from offtarget.asking.ask import Pair, judge_answers
from offtarget.asking.protocol import Judge
from offtarget.progress import Count, OnProgress
from offtarget.records import Verdict
from offtarget.rundir import JsonLines, make_folder, read_jsonl


def judged_once(
    folder: Path,
    judge: Judge,
    pairs: Sequence[Pair],
    label: str,
    on_progress: OnProgress,
    known: Sequence[Verdict] = (),
) -> list[Verdict]:
    """A verdict on each answer, in order; those in `known` and those on disk are not asked for again.

    Keys of answers must be unique. Raises InputError, naming the judge, when it breaks its Protocol.
    """
    make_folder(folder)
    name = hashlib.sha256(judge.fingerprint.encode()).hexdigest()[:16]
    file = folder / f"{name}.jsonl"
    with closing(JsonLines(file)) as lines:
        found = {v.key: v for v in [*known, *read_jsonl(file, Verdict)] if v.judge == judge.fingerprint}
        todo = [(probe, answer) for probe, answer in pairs if answer.key not in found]
        told = Count(on_progress, label, len(todo))
        found |= {v.key: v for v in judge_answers(judge, todo, keep=lines.extend, told=told)}
    return [found[answer.key] for _, answer in pairs]
