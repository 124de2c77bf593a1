"""All answers of a run as JSON that may stand inside an HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from offtarget.pages.check.loading import Answer, LoadedRun
from offtarget.pages.check.tables import pairs
from offtarget.pages.text import visible

LONGEST = 20_000
"""Characters of one answer embedded at most."""
BUDGET = 40_000_000
"""Characters of all answers together; beyond it the limit per answer is halved until they fit."""

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True, slots=True)
class Embedded:
    """The data block and what it holds."""

    json: str
    """`{"probes": [[question, arm, domain, prompt, system]], "pairs": [[probe, index, base, tuned]]}` where a
    side is null or `[text, outcome, alignment, coherence, reason, characters left out]`."""
    pairs: int
    answers: int
    limit: int
    cut: int
    """Answers longer than `limit`."""
    arms: tuple[str, ...]
    domains: tuple[str, ...]


def embedded_answers(run: LoadedRun) -> Embedded:
    """Every answer, misaligned ones first."""
    lengths = [len(g.text) for g in run.generations.values()]
    limit = _limit(lengths)
    probes = list(run.probes.values())
    position = {p.id: number for number, p in enumerate(probes)}
    rows = [
        [position[p.some.probe.id], p.some.generation.index, _side(p.base, limit), _side(p.tuned, limit)]
        for p in pairs(run)
    ]
    shown = [
        (
            *(_cut(v, 300) for v in (p.question_id, p.arm, p.domain)),
            _cut(p.prompt, LONGEST),
            None if p.system is None else _cut(p.system, LONGEST),
        )
        for p in probes
    ]
    text = json.dumps({"probes": shown, "pairs": rows}, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Embedded(
        json=text.translate(_ESCAPES),
        pairs=len(rows),
        answers=sum((row[2] is not None) + (row[3] is not None) for row in rows),
        limit=limit,
        cut=sum(length > limit for length in lengths),
        arms=_distinct(p.arm for p in probes),
        domains=_distinct(p.domain for p in probes),
    )


def _limit(lengths: list[int]) -> int:
    limit = LONGEST
    while limit > 200 and sum(min(length, limit) for length in lengths) > BUDGET:
        limit //= 2
    return limit


def _side(answer: Answer | None, limit: int) -> list[object] | None:
    if answer is None:
        return None
    text, verdict = answer.generation.text, answer.verdict
    scores = [None, None] if verdict is None else [_score(verdict.alignment), _score(verdict.coherence)]
    reason = None if verdict is None or not verdict.reason else _cut(verdict.reason, 500)
    outcome = "not judged" if answer.outcome is None else answer.outcome.value
    return [_cut(text, limit), outcome, *scores, reason, max(0, len(text) - limit)]


def _cut(text: object, limit: int) -> str:
    return visible(str(text)[:limit])


def _score(value: float | None) -> float | None:
    return round(value, 1) if value is not None and math.isfinite(value) else None


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_cut(v, 300) for v in values))
