"""`direction measure`: a model and its answers along a direction."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offtarget.asking.ask import Pair, ask, judge_answers
from offtarget.asking.protocol import Judge
from offtarget.asking.spending import timed
from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.progress import Count, OnProgress, Progress, silent
from offtarget.records import Outcome, Probe, Role, SamplingSettings
from offtarget.records.check import JudgeBy
from offtarget.records.direction import LayerDrift, ModelMeasured, Position
from offtarget.records.runs import OpenSettings
from offtarget.stats.auroc import auroc
from offtarget.workflows.direction.inputs import (
    How,
    ModelLike,
    exchanges_of,
    open_both,
    open_one,
    per_question,
    plain_bank,
)
from offtarget.workflows.direction.screen import in_words, opened_direction
from offtarget.workflows.ground import ground_of, judge_at_hand
from offtarget.workflows.ready import ready

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.models.local import LocalModel
    from offtarget.models.passes import Exchange


MOST, IN_ALL = 5, 160
"""Answers of each model to a question and to all of them where nobody said how many, more or less."""


@timed
def measure_model(
    direction: str | Path | Direction,
    model: ModelLike,
    *,
    base: ModelLike | None = None,
    layer: int | None = None,
    position: Position | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    answers: int | None = None,
    max_tokens: int = 300,
    seed: int = 0,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> ModelMeasured:
    """Sample a model's answers to plain probes and measure them; with a base, how far the model moved from it.

    Drift is read on the base's own answers (the model's, without a base there is none), so that it tells how the
    model reads, not what it writes. `answers` is per question; None: 5, fewer where there are many questions.
    Raises InputError for a direction that does not fit and models that are not local.
    """
    on_progress(Progress("reading the direction and the models"))
    from offtarget.direction.file import check_fits
    from offtarget.direction.measure import project

    if answers is not None and answers < 1:
        raise InputError(f"--answers must be at least 1, not {answers}.")
    ready(model, base, judges=(judge,), files={"--direction": direction}, keeps_run=False, opening=opening)
    on_progress(Progress(f"opening {model if isinstance(model, str) else model.name}"))
    loaded = opened_direction(direction)
    before, reference = base or loaded.info.base, None
    if before is None:
        measured = open_one(model, opening=opening)
    else:
        reference, measured = open_both(before, model, opening=opening)
    for one in filter(None, (measured, reference)):
        check_fits(loaded, one)
    chosen = loaded.info.layer if layer is None else layer
    loaded.vector(chosen)
    bank = plain_bank(probes, ground_of(measured.name))
    opened_judge = judge_at_hand(judge, bank, judge_by, opening)
    each = per_question(answers, len(bank.probes), most=MOST, in_all=IN_ALL)
    how = How(each, SamplingSettings(max_tokens=max_tokens), seed, on_progress)
    own = _ask(measured, "tuned", bank.probes, how)
    outcomes: Sequence[Outcome | None] = [None] * len(own)
    if opened_judge is not None:
        outcomes = [v.outcome for v in judge_answers(opened_judge, own, told=Count(on_progress, "judging", len(own)))]
    on_progress(Progress("reading the answers along the direction"))
    along = project(measured, exchanges_of(own), loaded, position="answer").at(chosen).tolist()
    read = [(value, o) for value, o in zip(along, outcomes, strict=True) if math.isfinite(value)]
    drift: tuple[LayerDrift, ...] = ()
    if reference is not None:
        fixed = [e for e in exchanges_of(_ask(reference, "base", bank.probes, how)) if e.answer]
        on_progress(Progress("reading the base's answers with both models"))
        drift = drifts(measured, reference, fixed, loaded, position)
    return ModelMeasured(
        direction=in_words(loaded.info),
        model=measured.name,
        base=None if reference is None else reference.name,
        layer=chosen,
        position=position or loaded.info.position,
        answers=dict(Counter(_label(o) for _, o in read)),
        mean_by_outcome=_means(read),
        auroc=_separation(read),
        correlation=_correlation(read),
        drift=drift,
    )


def drifts(
    model: LocalModel,
    base: LocalModel,
    exchanges: Sequence[Exchange],
    direction: Direction,
    position: Position | None = None,
) -> tuple[LayerDrift, ...]:
    """Layer by layer, how far the model reads the same exchanges further along the direction than its base."""
    from offtarget.direction.measure import project

    now, before = (project(m, exchanges, direction, position=position) for m in (model, base))
    found = []
    for layer in now.layers:
        moved = now.at(layer) - before.at(layer)
        error = float(moved.std()) / math.sqrt(len(moved)) if len(moved) > 1 else math.inf
        found.append(LayerDrift(layer, float(moved.mean()), error))
    return tuple(found)


def _ask(model: LocalModel, role: Role, probes: Sequence[Probe], how: How) -> list[Pair]:
    """Answers to all probes; base and tuned share their random streams."""
    wanted = [(probe, number) for number, probe in enumerate(p for p in probes for _ in range(how.answers))]
    stage = f"asking {model.name}"
    how.on_progress(Progress(stage, 0, len(wanted)))
    told = Count(how.on_progress, stage, len(wanted))
    return ask(role, model, wanted, how.sampling, lambda _, number: how.seed * 1_000_003 + number, told=told)


def _label(outcome: Outcome | None) -> str:
    return "not judged" if outcome is None else outcome.value


def _means(read: Sequence[tuple[float, Outcome | None]]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for value, outcome in read:
        groups.setdefault(_label(outcome), []).append(value)
    return {name: sum(values) / len(values) for name, values in sorted(groups.items())}


def _scored(read: Sequence[tuple[float, Outcome | None]]) -> tuple[list[float], list[float]]:
    """Projections of misaligned and of aligned answers."""
    misaligned = [v for v, o in read if o is Outcome.MISALIGNED]
    return misaligned, [v for v, o in read if o is Outcome.ALIGNED]


def _separation(read: Sequence[tuple[float, Outcome | None]]) -> float | None:
    misaligned, aligned = _scored(read)
    return auroc(misaligned, aligned) if misaligned and aligned else None


def _correlation(read: Sequence[tuple[float, Outcome | None]]) -> float | None:
    misaligned, aligned = _scored(read)
    values = [*misaligned, *aligned]
    if not misaligned or not aligned or max(values) == min(values):
        return None
    shown = [1.0] * len(misaligned) + [0.0] * len(aligned)
    return float(np.corrcoef(values, shown)[0, 1])
