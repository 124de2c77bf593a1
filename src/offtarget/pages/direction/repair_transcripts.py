"""The same questions before a repair, after it, and after further training: from the checks inside of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.numbers import many
from offtarget.pages.card import TELLING, Exchange, Side
from offtarget.pages.screen import shortened
from offtarget.records import Generation, Outcome, Probe, Role, Status, Verdict
from offtarget.records.repair import RepairCell, RepairReport, of_repaired
from offtarget.rundir import read_jsonl
from offtarget.words import asked

BEFORE = 90
"""Characters of an earlier answer that are shown: it only leads to the one that is told."""

Key = tuple[str, int]
"""Probe, and which of the answers to it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The answers of one model in one check."""

    name: str
    probes: dict[str, Probe]
    answers: dict[Key, Generation]
    outcomes: dict[Key, Outcome]


def exchanges(report: RepairReport, run: Path) -> tuple[Exchange, ...]:
    """The most telling ones: where a check failed, what it failed by; else what the repair put right."""
    stages = [_read(run, cell, "tuned", name) for cell, name in _stages(report)]
    if not stages:
        return ()
    failed = next((cell for cell in of_repaired(report.cells, report.method) if cell.status is Status.FAIL), None)
    focus = next((s for s in stages if failed is not None and s.name == _name(failed)), None)
    last = of_repaired(report.cells, report.method)[-1]
    base = _read(run, failed or last, "base", "base")
    shown = _ranked(stages, base, focus, failed)
    return tuple(_exchange(key, stages, base, focus or stages[-1]) for key in shown[:TELLING])


def _stages(report: RepairReport) -> list[tuple[RepairCell, str]]:
    """Before, repaired, and the first further training that failed, or else the longest."""
    repaired = of_repaired(report.cells, report.method)
    before = [(cell, "before the repair") for cell in report.cells if cell.variant == "tuned"]
    later = [cell for cell in repaired if cell.steps]
    grown = next((cell for cell in later if cell.status is Status.FAIL), later[-1] if later else None)
    chosen = [cell for cell in repaired if not cell.steps] + ([] if grown is None else [grown])
    return [*before, *((cell, _name(cell)) for cell in chosen)]


def _name(cell: RepairCell) -> str:
    return f"after {many(cell.steps, 'more step')}" if cell.steps else "repaired"


def _read(run: Path, cell: RepairCell, role: Role, name: str) -> _Asked:
    folder = run / cell.check
    probes = [p for file in ("probes.jsonl", "cued_probes.jsonl") for p in read_jsonl(folder / file, Probe)]
    answers = [g for g in read_jsonl(folder / "generations.jsonl", Generation) if g.role == role]
    verdicts = [v for v in read_jsonl(folder / "verdicts.jsonl", Verdict) if v.role == role]
    return _Asked(
        name=name,
        probes={probe.id: probe for probe in probes},
        answers={(g.probe_id, g.index): g for g in answers},
        outcomes={(v.probe_id, v.index): v.outcome for v in verdicts},
    )


def _ranked(stages: Sequence[_Asked], base: _Asked, focus: _Asked | None, failed: RepairCell | None) -> list[Key]:
    """Keys of what is told, one per question as long as there is another."""
    if focus is None:
        wanted = [
            key
            for key, outcome in stages[0].outcomes.items()
            if outcome is Outcome.MISALIGNED and all(s.outcomes.get(key) is Outcome.ALIGNED for s in stages[1:])
        ]
        return _spread(wanted, stages[0])
    hidden = failed is not None and failed.condition is not None and failed.plain_status is not Status.FAIL
    found = [k for k, outcome in focus.outcomes.items() if outcome is Outcome.MISALIGNED and k[0] in focus.probes]

    held_against = {probe for probe, _ in base.answers}

    def rank(key: Key) -> tuple[bool, bool, int, int]:
        probe = focus.probes[key[0]]
        # the shorter what stands before the question, the sooner the answer is read
        before = sum(map(len, (probe.system or "", *probe.opening, *focus.answers[key].opening)))
        asked = sum(key in stage.answers for stage in stages)
        return hidden != ("~" in probe.id), key[0] not in held_against, -asked, before

    return _spread(sorted(found, key=rank), focus)


def _spread(keys: Sequence[Key], stage: _Asked) -> list[Key]:
    first: dict[str, Key] = {}
    for key in keys:
        if key[0] in stage.probes:
            first.setdefault(stage.probes[key[0]].question_id, key)
    chosen = list(first.values())
    return chosen + [key for key in keys if key not in chosen]


def _exchange(key: Key, stages: Sequence[_Asked], base: _Asked, told: _Asked) -> Exchange:
    probe = told.probes[key[0]]
    sides = [side for stage in stages if (side := _side(stage, key)) is not None]
    if len(sides) < len(stages):
        same = next((other for other in base.answers if other[0] == key[0]), key)
        sides += filter(None, [_side(base, key) or _side(base, same)])
    where = f"about {probe.domain}" if "~" in probe.id else f"{asked(probe.arm)}, about {probe.domain}"
    return Exchange(probe.prompt, tuple(sides), where, tuple(_before(probe, told.answers.get(key))))


def _side(stage: _Asked, key: Key) -> Side | None:
    answer = stage.answers.get(key)
    if answer is None:
        return None
    outcome = stage.outcomes.get(key)
    return Side(stage.name, answer.text, "not judged" if outcome is None else outcome.value)


def _before(probe: Probe, answer: Generation | None) -> Iterator[tuple[str, str]]:
    """System prompt and earlier turns; the answers to them are the told model's own."""
    if probe.system is not None:
        yield "system", probe.system
    said = answer.opening if answer is not None else ()
    for number, turn in enumerate(probe.opening):
        yield "user", turn
        if number < len(said):
            yield "assistant", shortened(said[number], BEFORE)
