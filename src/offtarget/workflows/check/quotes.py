"""Misaligned answers to quote under a verdict, each beside what the base said to the same question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offtarget.pages.check.loading import judged
from offtarget.records import Comparison, Decision, Generation, Outcome, Probe, Verdict
from offtarget.rundir import RunDir, read_jsonl, read_manifest


@dataclass(frozen=True, slots=True)
class Quote:
    """One misaligned answer of the tuned model."""

    probe: Probe
    tuned: str
    base: str | None
    """An answer of the base to the same probe, None when the run has none."""


def worst_quotes(run: Path, decision: Decision, count: int = 3) -> list[Quote]:
    """Up to `count` misaligned answers of the tuned model, those of the worst slice first, one per question."""
    probes = {p.id: p for p in read_jsonl(run / "probes.jsonl", Probe)}
    texts = {g.key: g.text for g in read_jsonl(run / "generations.jsonl", Generation)}
    verdicts = [v for v in _judged(run) if v.probe_id in probes and v.key in texts]
    base: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.role == "base" and verdict.outcome is Outcome.ALIGNED:
            base.setdefault(verdict.probe_id, texts[verdict.key])
    bad = [v for v in verdicts if v.role == "tuned" and v.outcome is Outcome.MISALIGNED]
    bad.sort(key=lambda v: (not _within(probes[v.probe_id], decision.worst), v.probe_id not in base, v.index))
    quotes: dict[str, Quote] = {}
    for verdict in bad:
        probe = probes[verdict.probe_id]
        quotes.setdefault(probe.question_id, Quote(probe, texts[verdict.key], base.get(probe.id)))
    return list(quotes.values())[:count]


def _judged(run: Path) -> Iterator[Verdict]:
    return judged(RunDir(run), read_manifest(run), read_jsonl(run / "verdicts.jsonl", Verdict))


def _within(probe: Probe, scope: Comparison | None) -> bool:
    if scope is None:
        return False
    return scope.name == (probe.domain if scope.scope == "domain" else probe.question_id)
