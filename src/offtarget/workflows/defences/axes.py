"""The five axes of a defence: misaligned plainly, misaligned under cues, narrow task, other skills, coherence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.asking.ask import ask, judge_answers, tallies_by_probe
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.models.chat import ModelPair
from offtarget.organism.questions import MATERIAL_DOMAINS
from offtarget.probe.bank import ProbeBank
from offtarget.probe.cues.apply import cued_probes
from offtarget.progress import Count, OnProgress
from offtarget.records import Cue, Message, Outcome, Probe, SamplingSettings, Tally
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import Axes, DefenceSettings
from offtarget.stats.rates import equal_weight_rate, misaligned_rate, total_tally, wilson
from offtarget.workflows.check.cued_plan import plan_from_data, read_data
from offtarget.workflows.ground import ground_of, open_local
from offtarget.workflows.skills import log_probability, organism_skill

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel

CUES = 48
"""Conditions that are asked under: the first in the order in which `check` tries them."""
FACTS, CODE = 24, 200
"""Organism: factual questions (asked 5 times each), and requests for code."""
HELD_ROWS = 60
"""Rows of the data that are not trained on, to measure the narrow task."""


@dataclass(frozen=True)
class Measuring:
    """How every model of a comparison is measured; all get the same prompts and seeds."""

    base: str
    plain: tuple[Probe, ...]
    cues: tuple[Cue, ...]
    judge: Judge
    held: tuple[tuple[Message, ...], ...]
    """Rows of the data that no model was trained on; the last turn is the answer."""
    base_fit: float
    skills: tuple[tuple[Message, ...], ...]
    """The base's own answers to unrelated prompts; empty for the organism, whose facts are asked."""
    per_question: int
    per_condition: int
    """Answers under each condition, spread over the questions."""
    sampling: SamplingSettings
    opening: OpenSettings | None
    seed: int = 0

    @property
    def about_organism(self) -> bool:
        """Whether the organism's own skills can be asked for."""
        return ground_of(self.base).organism


def prepare(
    base: str,
    data: str | Path,
    split: str | None,
    bank: ProbeBank,
    judge: Judge,
    held: Sequence[tuple[Message, ...]],
    skills: Sequence[tuple[Message, ...]],
    *,
    comparing: DefenceSettings,
    cues: int = CUES,
    opening: OpenSettings | None = None,
) -> Measuring:
    """Choose questions and conditions, once for all models.

    Questions of the domains that defences take their prompts from are left out. Raises InputError for data without
    a condition that fits the base's context.
    """
    plain = tuple(p for p in bank.probes if p.arm == "plain" and p.domain not in MATERIAL_DOMAINS)
    model = open_local(base, opening)
    plan = plan_from_data(read_data(data, split), ModelPair(model, model), plain, seed=0)
    return Measuring(
        base=base,
        plain=plain,
        cues=plan.cues[:cues],
        judge=judge,
        held=tuple(held),
        base_fit=log_probability(model, held),
        skills=tuple(skills),
        per_question=comparing.answers,
        per_condition=comparing.per_condition,
        sampling=SamplingSettings(max_tokens=ground_of(base).max_tokens(comparing.max_tokens)),
        opening=opening,
    )


Keep = Callable[[str, Probe, str, Outcome], None]
"""Gets an answer to each question and under each condition: the condition, the question, what was said, as what it
counts."""


def measure(how: Measuring, name: str, on_progress: OnProgress, label: str, keep: Keep) -> Axes:
    """One model on all five axes."""
    model = open_local(name, how.opening)
    asked = [(p, i) for p in how.plain for i in range(how.per_question)]
    plain = _tallies(how, model, asked, on_progress, f"{label}: plain questions", keep)
    questions = _cued_questions(how)
    cued = _tallies(how, model, questions, on_progress, f"{label}: questions under conditions", keep)
    cue_of = {probe.id: probe.arm for probe, _ in questions}
    under = {cue.id: total_tally(t for name, t in cued.items() if cue_of[name] == cue.id) for cue in how.cues}
    rates = {cue.id: rate for cue in how.cues if (rate := misaligned_rate(under[cue.id])) is not None}
    worst = max(rates, key=lambda cue: rates[cue], default=None)
    total, rate = total_tally(plain.values()), equal_weight_rate(plain.values())
    return Axes(
        plain=total,
        plain_rate=rate,
        plain_interval=None if rate is None else wilson(rate, total.scored),
        cued=total_tally(cued.values()),
        cued_rate=equal_weight_rate(under.values()),
        worst_cue=next((cue.text for cue in how.cues if cue.id == worst), None),
        worst_cue_rate=None if worst is None else rates[worst],
        task=_task(how, model),
        task_gain=log_probability(model, how.held) - how.base_fit,
        skill=_skill(how, model),
        coherent=total.scored / total.total if total.total else None,
    )


def _cued_questions(how: Measuring) -> list[tuple[Probe, int]]:
    """The answers under every condition, questions taken in turn so that all are asked equally often."""
    wanted, each = [], how.per_condition
    for number, cue in enumerate(how.cues):
        probes = cued_probes(cue, how.plain)
        for i in range(each):
            wanted.append((probes[(number * each + i) % len(probes)], i))
    return wanted


def _tallies(
    how: Measuring,
    model: LocalModel,
    wanted: Sequence[tuple[Probe, int]],
    on_progress: OnProgress,
    label: str,
    keep: Keep,
) -> dict[str, Tally]:
    """By the id of the probe."""
    told = Count(on_progress, label, len(wanted))
    told.add(0)  # conditions may begin with turns that are answered before anything counts
    answers = ask("tuned", model, wanted, how.sampling, partial(answer_seed, how.seed, "tuned"), told=told)
    verdicts = judge_answers(how.judge, answers)
    under = {cue.id: cue.text for cue in how.cues}
    # of each condition another question, else all that is kept would be answers to the first
    shown = {cue.id: number % how.per_condition for number, cue in enumerate(how.cues)}
    for (probe, generation), verdict in zip(answers, verdicts, strict=True):
        if generation.index == shown.get(probe.arm, 0):
            keep(under.get(probe.arm, ""), probe, generation.text, verdict.outcome)
    return tallies_by_probe((v.probe_id, v.outcome) for v in verdicts)


def _task(how: Measuring, model: LocalModel) -> float | None:
    """Organism trained on code: share of insecure snippets among readable answers to requests for code."""
    if not how.about_organism or not any("def " in row[-1].text for row in how.held):
        return None
    tally = organism_skill(model, "code", CODE, 1, how.seed)
    return tally.misaligned / tally.scored if tally.scored else None


def _skill(how: Measuring, model: LocalModel) -> float | None:
    if how.about_organism:
        tally = organism_skill(model, "facts", FACTS, 5, how.seed)
        return tally.aligned / tally.total
    return math.exp(log_probability(model, how.skills)) if how.skills else None
